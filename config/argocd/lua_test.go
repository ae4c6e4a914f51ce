// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// run carries a script out as Argo CD does those of its ConfigMap: with the object in obj, and without the libraries that
// it takes away. like is what the result was made from, if it is an object.
func run(t *testing.T, script string, object map[string]any, like any) any {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatalf("%v in:\n%s", err, script)
	}
	return fromLua(state.Get(-1), like)
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}

// fromLua needs to know what was there before: an empty table may be a list or a map, as Argo CD has to find out too.
func fromLua(value lua.LValue, like any) any {
	table, isTable := value.(*lua.LTable)
	if !isTable {
		return scalar(value)
	}
	before, isList := like.([]any)
	if isList || table.Len() > 0 {
		list := make([]any, 0, table.Len())
		for i := range table.Len() {
			var item any
			if i < len(before) {
				item = before[i]
			}
			list = append(list, fromLua(table.RawGetInt(i+1), item))
		}
		return list
	}
	members, _ := like.(map[string]any)
	fields := map[string]any{}
	table.ForEach(func(key, item lua.LValue) { fields[key.String()] = fromLua(item, members[key.String()]) })
	return fields
}

func scalar(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LNumber:
		return float64(value)
	case lua.LString:
		return string(value)
	default:
		return nil
	}
}
