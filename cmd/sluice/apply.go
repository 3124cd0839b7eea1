package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/control/client"
)

func newApply() *cobra.Command {
	var (
		conn  connection
		files manifests
		flags changeFlags
	)
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-…",
		Short: "Make objects what files say",
		Long: `Apply makes the objects that files have what they say there: those that are not
there yet are created. All of them are changed at once, or none, if anything is
wrong with one: all that is wrong is listed then, with its place.

When it returns, every worker treats packets by the objects, and they survive
kill -9. Objects that the daemon's own files (sluice run --config) have can't be
changed over the API.`,
		Example: `  sluice apply -f site.yaml -m "open the shop"
  sluice apply -R -f manifests/ --dry-run --diff
  kubectl get pods,namespaces -A -o yaml | sluice apply --skip-unknown -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.parse(); err != nil {
				return err
			}
			if len(files.paths) == 0 {
				return withStatus(exitUsage, errors.New("apply what? Name files or folders by -f, or - for standard input"))
			}
			documents, err := files.read(cmd)
			if err != nil {
				return err
			}
			return conn.ask(func(c *client.Client) error {
				result, err := c.Apply(cmd.Context(), documents, flags.ChangeOptions)
				if err != nil {
					return err
				}
				if err := flags.print(result, newScreen(cmd.OutOrStdout()), cmd.ErrOrStderr()); err != nil {
					return err
				}
				if len(result.Changes) == 0 {
					return errors.New("the files have no objects that could be applied")
				}
				return nil
			})
		},
	}
	conn.addFlags(cmd)
	files.addFlags(cmd)
	flags.addFlags(cmd)
	cmd.Flags().BoolVar(&flags.SkipUnknown, "skip-unknown", false, "leave out objects of kinds that Sluice does not know, instead of refusing all")
	return cmd
}
