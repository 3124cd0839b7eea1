package netdev

import (
	"fmt"
	"strings"
)

// Command makes a command line, for messages that name a remedy, do in a network
// namespace (see NamespacePath; "" is the own) what it says.
func Command(netNS, format string, args ...any) string {
	command := fmt.Sprintf(format, args...)
	ip, isIP := strings.CutPrefix(command, "ip ")
	switch {
	case netNS == "":
		return command
	case strings.HasPrefix(netNS, "/"):
		return "nsenter --net=" + netNS + " " + command
	case isIP:
		return "ip -n " + netNS + " " + ip
	}
	return "ip netns exec " + netNS + " " + command
}
