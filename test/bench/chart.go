// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
)

// chartTemplate makes the chart. It is a template because the chart needs six small panels with lines and nothing else: the
// libraries that plot in Go bring fonts and image formats, many times as much code as this program.
//
//go:embed chart.svg.tpl
var chartTemplate string

// The size of a panel, and of the plot in it.
const (
	panelWidth, panelHeight = 360, 240
	plotLeft, plotTop       = 56, 36
	plotWidth, plotHeight   = 280, 150
	columns                 = 3
)

// colors are those of the versions, distinguishable with any color vision.
var colors = []string{"#D55E00", "#0072B2", "#009E73", "#CC79A7"}

// panels are the figures in the chart, if they were measured.
var panels = []struct{ title, scenario, figure, unit string }{
	{"Requests per rollout", "fleet", "requests per rollout", ""},
	{"CPU of the manager per rollout [ms]", "fleet", "CPU of the manager per rollout", "ms"},
	{"CPU of the API server per rollout [ms]", "fleet", "CPU of the API server per rollout", "ms"},
	{"Until all are healthy [s]", "fleet", "until all are healthy", "s"},
	{"Memory of the manager, idle [MiB]", "idle", "memory of the manager", "MiB"},
	{"Promotion among busy ones, p99 [ms]", "one-of-many", "promotion among busy ones, p99", "ms"},
}

type chartPanel struct {
	X, Y   int
	Title  string
	Top    string // the value at the top of the plot
	Ticks  []chartTick
	Series []chartSeries
}

type chartTick struct {
	X    float64
	Text string
}

type chartSeries struct {
	Color, Line string
	Points      []chartPoint
}

// chartPoint has a median, and the range around it.
type chartPoint struct{ X, Y, Low, High float64 }

type chartLegend struct {
	X           int
	Color, Text string
}

// chart returns an SVG of the figures over the number of rollouts, on a logarithmic scale.
func (r *results) chart() ([]byte, error) {
	data := struct {
		Width, Height int
		Panels        []chartPanel
		Legend        []chartLegend
	}{Width: columns * panelWidth}
	for _, p := range panels {
		i := len(data.Panels)
		panel := chartPanel{X: i % columns * panelWidth, Y: i / columns * panelHeight, Title: p.title}
		if r.fill(&panel, p.scenario, p.figure, p.unit); len(panel.Ticks) > 0 {
			data.Panels = append(data.Panels, panel)
		}
	}
	data.Height = (len(data.Panels)+columns-1)/columns*panelHeight + 30
	for i, version := range r.versions {
		data.Legend = append(data.Legend, chartLegend{plotLeft + 140*i, colors[i%len(colors)], version})
	}
	parsed, err := template.New("chart").Parse(chartTemplate)
	if err != nil {
		return nil, err
	}
	var svg bytes.Buffer
	err = parsed.Execute(&svg, data)
	return svg.Bytes(), err
}

// fill draws the lines of a panel, one for each version.
func (r *results) fill(panel *chartPanel, scenario, figure, unit string) {
	first, last, top := math.MaxInt, 0, 0.0
	for _, k := range r.keys {
		first, last = min(first, k.n), max(last, k.n)
	}
	for _, version := range r.versions {
		for _, p := range r.points(version, scenario, figure, unit) {
			top = max(top, p.value.max)
		}
	}
	if top == 0 {
		top = 1
	}
	panel.Top = number(top)
	x := func(n int) float64 {
		if first == last {
			return plotLeft + plotWidth/2
		}
		return plotLeft + plotWidth*math.Log(float64(n)/float64(first))/math.Log(float64(last)/float64(first))
	}
	y := func(value float64) float64 { return plotTop + plotHeight*(1-value/top) }
	ticked := map[int]bool{}
	for i, version := range r.versions {
		series := chartSeries{Color: colors[i%len(colors)]}
		for _, p := range r.points(version, scenario, figure, unit) {
			point := chartPoint{x(p.n), y(p.value.median), y(p.value.min), y(p.value.max)}
			series.Points = append(series.Points, point)
			series.Line += fmt.Sprintf("%.1f,%.1f ", point.X, point.Y)
			if !ticked[p.n] {
				ticked[p.n] = true
				panel.Ticks = append(panel.Ticks, chartTick{point.X, fmt.Sprint(p.n)})
			}
		}
		panel.Series = append(panel.Series, series)
	}
}
