package server

import "github.com/sluice-net/sluice/api"

// Operation is what tests have to know of an operation.
type Operation struct {
	Method, Path string
	Role         api.Role
	Arguments    []string
}

// Operations are all of them.
func Operations() (all []Operation) {
	for _, o := range operations() {
		shown := Operation{Method: o.method, Path: o.path, Role: o.role}
		for _, a := range o.query {
			shown.Arguments = append(shown.Arguments, a.name)
		}
		all = append(all, shown)
	}
	return all
}
