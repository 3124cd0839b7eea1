package archtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDependencies(t *testing.T) {
	const toolsMod = "module m.test/m/tools\n\ntool example.com/fmt/cmd/fmt\n"
	for _, row := range []struct {
		why  string
		mod  string // go.mod after the module line
		docs string
		want []string
	}{
		{
			"used, required and explained",
			"require example.com/used v1.0.0\n",
			"## In use\n| `example.com/used` | why |\n## Tools\n| `example.com/fmt` | why |\n",
			nil,
		},
		{
			"a module that nothing explains",
			"require (\n\texample.com/used v1.0.0\n\texample.com/other v1.0.0\n)\n",
			"## In use\n| `example.com/used` | why |\n## Tools\n| `example.com/fmt` | why |\n",
			[]string{`go.mod:5: example.com/other is not explained under "In use" in docs/dependencies.md`},
		},
		{
			"what others need is not asked about",
			"require (\n\texample.com/used v1.0.0\n\texample.com/deep v1.0.0 // indirect\n)\n",
			"## In use\n| `example.com/used` | why |\n## Tools\n| `example.com/fmt` | why |\n",
			nil,
		},
		{
			"go get marks as indirect what is imported afterwards",
			"require example.com/used v1.0.0 // indirect\n",
			"## In use\n| `example.com/used` | why |\n## Tools\n| `example.com/fmt` | why |\n",
			[]string{"go.mod:3: example.com/used is marked indirect and imported here: run go mod tidy"},
		},
		{
			"an explanation outlives its module",
			"require example.com/used v1.0.0\n",
			"## In use\n| `example.com/used` | why |\n| `example.com/gone` | why |\n## Tools\n| `example.com/fmt` | why |\n",
			[]string{`docs/dependencies.md:3: example.com/gone is not required by go.mod: move it to "Planned" or delete it`},
		},
		{
			"a plan that came true is told in two places",
			"require example.com/used v1.0.0\n",
			"## Planned\n| `example.com/used` | why |\n| `example.com/next` | why |\n## Tools\n| `example.com/fmt` | why |\n",
			[]string{
				"docs/dependencies.md:2: example.com/used is required by go.mod: it is planned no more",
				`go.mod:3: example.com/used is not explained under "In use" in docs/dependencies.md`,
			},
		},
		{
			"tools are explained too, and only tools are listed as such",
			"require example.com/used v1.0.0\n",
			"## In use\n| `example.com/used` | why |\n## Tools\n| `example.com/fm` | why |\n",
			[]string{
				"docs/dependencies.md:4: example.com/fm is no tool of tools/go.mod",
				`tools/go.mod: example.com/fmt/cmd/fmt is not explained under "Tools" in docs/dependencies.md`,
			},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			fsys := fsOf(map[string]string{
				"packet/a.go":          importing("packet", "example.com/used/sub"),
				"tools/go.mod":         toolsMod,
				"docs/dependencies.md": row.docs,
			})
			fsys["go.mod"].Data = []byte("module m.test/m\n\n" + row.mod)
			tree, err := Read(fsys)
			require.NoError(t, err)
			faults, err := Dependencies(tree, fsys)
			require.NoError(t, err)
			require.Equal(t, row.want, nilIfEmpty(lines(faults)))
		})
	}
}

func TestNestedModulesAreToldApart(t *testing.T) {
	tree := module(t, map[string]string{"packet/a.go": importing("packet", "example.com/a/b/c")})
	requires := []Requirement{{Path: "example.com/a"}, {Path: "example.com/a/b"}}
	require.Equal(t, map[string]bool{"example.com/a/b": true}, importedModules(tree, requires))
}
