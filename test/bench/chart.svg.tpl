<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" viewBox="0 0 {{.Width}} {{.Height}}" font-family="sans-serif" font-size="11">
<title>Cost over the number of rollouts</title>
<rect width="100%" height="100%" fill="white"/>
{{range .Panels}}<g transform="translate({{.X}},{{.Y}})">
<text x="56" y="22" font-size="13">{{.Title}}</text>
<path d="M56 36V186H336" fill="none" stroke="#888888"/>
<text x="50" y="40" text-anchor="end">{{.Top}}</text>
<text x="50" y="190" text-anchor="end">0</text>
{{range .Ticks}}<text x="{{printf "%.1f" .X}}" y="202" text-anchor="middle">{{.Text}}</text>
{{end}}{{range .Series}}{{$color := .Color}}<polyline points="{{.Line}}" fill="none" stroke="{{$color}}" stroke-width="2"/>
{{range .Points}}<line x1="{{printf "%.1f" .X}}" y1="{{printf "%.1f" .Low}}" x2="{{printf "%.1f" .X}}" y2="{{printf "%.1f" .High}}" stroke="{{$color}}"/>
<circle cx="{{printf "%.1f" .X}}" cy="{{printf "%.1f" .Y}}" r="3" fill="{{$color}}"/>
{{end}}{{end}}</g>
{{end}}{{$bottom := .Height}}{{range .Legend}}<g transform="translate({{.X}},{{$bottom}})">
<rect x="0" y="-20" width="12" height="12" fill="{{.Color}}"/>
<text x="18" y="-10">{{.Text}}</text>
</g>
{{end}}</svg>
