package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-net/sluice/lab/traffic"
)

// defaultPatience is how long an attempt to connect waits for an answer.
const defaultPatience = time.Second

// targetForm is what an attempt goes to, once names are replaced: an address in brackets is one of IPv6.
var targetForm = regexp.MustCompile(`^(tcp|udp) (\S+):([0-9]+)$`)

// commands are those that make the attempts: the switch's own binary is in every pod.
func (v *Connect) commands() (list []Command) {
	patience := cmp.Or(time.Duration(v.Patience), defaultPatience)
	for _, to := range v.To {
		words := append([]string{"sluice", "lab", "connect", "--patience", patience.String()}, strings.Fields(to)...)
		list = append(list, Command{At: v.At, Words: words})
	}
	return list
}

// check looks for targets that nobody could be reached by.
func (v *Connect) check(c *checker) {
	for _, to := range v.To {
		if !targetForm.MatchString(to) {
			c.d.faultAt(v.At, "connect", fmt.Sprintf("%q is not a target", to), "such as tcp ${ip:demo/web}:80 or udp [${ip6:demo/web}]:53")
		}
	}
	for _, command := range v.commands() {
		c.command(&command)
	}
}

// checkOutcome looks for words that no attempt ends with.
func (c *checker) checkOutcome(s *Step) {
	if s.Expect.Outcome == nil {
		return
	}
	for _, word := range s.Expect.Outcome.words {
		if operator := comparison.MatchString(word) || strings.HasPrefix(word, "~"); !operator && !traffic.IsOutcome(word) {
			c.d.faultAt(s.At, "expect.outcome", fmt.Sprintf("%q is not an outcome", word), strings.Join(traffic.Outcomes(), ", "))
		}
	}
}

// judgeOutcome compares what came of an attempt with what is expected of it.
func (a *attempt) judgeOutcome(o *output) {
	var result traffic.Result
	if err := json.Unmarshal([]byte(o.stdout), &result); err != nil {
		a.fault("%s: %s: the answer is not JSON: %v", o.where, o.command, err)
		return
	}
	_, target, _ := strings.Cut(o.command, " --patience ")
	_, target, _ = strings.Cut(target, " ")
	if want := a.step.Expect.Outcome; want == nil && result.Outcome != traffic.Answered {
		a.fault("%s: %s: want answered, got %s %s", o.where, target, result.Outcome, result.Detail)
	} else if want != nil && !want.Holds(string(result.Outcome)) {
		a.fault("%s: %s: want %s, got %s %s", o.where, target, want, result.Outcome, result.Detail)
	}
}
