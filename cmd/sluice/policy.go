package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/node/policy"
)

// errDenied has the status that a packet is denied, and nothing to say beside.
var errDenied = errors.New("it is denied")

// exitDenied is what is exitDiffers elsewhere: the answer is no.
const exitDenied = 1

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Ask what the firewall's policy says, and what a new one would change",
		Long: `Policy asks about the firewall's rules, of SecurityPolicies and of Kubernetes' network
policies alike, by the same tables as the switch uses.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return fmt.Errorf("policy has no command %s: want one of %s", args[0], strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(newPolicyEval(), newPolicyDiff(), newPolicyLint())
	return cmd
}

// loadPolicy reads a configuration for its policy: whether this version can put all the rest into effect does
// not matter.
func loadPolicy(paths []string, stdin io.Reader, errOut io.Writer, skipUnknown bool) (*policy.Evaluator, error) {
	model, err := compileFiles(paths, stdin, errOut, skipUnknown)
	if err != nil {
		return nil, withStatus(exitConfig, err)
	}
	e, err := policy.NewEvaluator(model)
	return e, withStatus(exitConfig, err)
}

// compileFiles reads and compiles a configuration. With skipUnknown, objects of kinds that this version does not
// know are passed over and listed on errOut.
func compileFiles(paths []string, stdin io.Reader, errOut io.Writer, skipUnknown bool) (*control.Model, error) {
	objects, faults := control.Load(paths, stdin, control.Options{SkipUnknown: skipUnknown, Skipped: func(s control.Skipped) {
		fmt.Fprintf(errOut, "skipped: %s:%d:%d: %s %s: %s\n", s.File, s.Line, s.Column, s.Kind, s.Name, s.Reason)
	}})
	if len(faults) > 0 {
		return nil, faults
	}
	model, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	if len(faults) > 0 {
		return nil, faults
	}
	return model, nil
}
