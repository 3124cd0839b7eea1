package services

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/internal/near"
	"github.com/sluice-net/sluice/lb/service"
)

// What a Service says beyond Kubernetes, in annotations.
const (
	algorithmAnnotation  = api.APIGroup + "/algorithm"         // as Pool's spec.algorithm
	monitorsAnnotation   = api.APIGroup + "/active-monitors"   // names of Monitors, with commas between them
	maxFailsAnnotation   = api.APIGroup + "/passive-max-fails" // as Pool's spec.passiveMonitor.maxFails
	slowStartAnnotation  = api.APIGroup + "/slow-start"        // a duration: 30s
	dispatchAnnotation   = api.APIGroup + "/dispatch"          // as VirtualServer's spec.dispatch
	sourceAnnotation     = api.APIGroup + "/snat"              // AUTOMAP, DISABLED, or an IPPool with usage snat
	poolAnnotation       = api.APIGroup + "/ip-pool"           // an IPPool with usage vips
	sharedAnnotation     = api.APIGroup + "/allow-shared-ip"   // a word: Services with the same one may share an address
	sourcePoolAnnotation = "ncp/snat_pool"                     // NCP's: an IPPool with usage snat
)

// annotationPath is where an annotation is written.
func annotationPath(name string) string { return "metadata.annotations[" + name + "]" }

// options are what all ports of a Service have.
type options struct {
	server service.Server
	behind poolDraft
	source sourceDraft
}

// passiveTime is how long a member stays out that failed too often, and in which failures count.
const passiveTime = 5 * time.Second

// maxSlowStart is the longest time of a slow start.
const maxSlowStart = time.Hour

// readOptions reads annotations, and what of a Service's spec is not about ports.
func (s *says) readOptions(v *corev1.Service) (o options) {
	o.behind = poolDraft{Pool: service.Pool{MinActive: 1, LastResort: true}, byDefault: true}
	if v.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		seconds := int64(defaultAffinity)
		if c := v.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			seconds = int64(*c.ClientIP.TimeoutSeconds)
		}
		o.server.Affinity = &service.Affinity{TimeoutNs: seconds * int64(time.Second)}
	}
	for _, name := range sortedKeys(v.Annotations) {
		text := strings.TrimSpace(v.Annotations[name])
		path := annotationPath(name)
		switch name {
		case algorithmAnnotation:
			i := slices.Index(service.Algorithms(), text)
			if i < 0 {
				s.choice(path, text, service.Algorithms())
				break
			}
			o.behind.Algorithm, o.behind.byDefault = service.Algorithm(i), false
		case monitorsAnnotation:
			for part := range strings.SplitSeq(text, ",") {
				if part = strings.TrimSpace(part); part != "" {
					o.behind.monitors = append(o.behind.monitors, s.refer(kindMonitor, path, part))
				}
			}
		case maxFailsAnnotation:
			n, err := strconv.ParseUint(text, 10, 16)
			if err != nil || n == 0 {
				s.fault(path, strconv.Quote(clip(text))+" is not a number of failures", `such as "5", 1 to 65535`)
				break
			}
			o.behind.Passive = &service.Passive{MaxFails: int(n), TimeoutNs: int64(passiveTime)}
		case slowStartAnnotation:
			d, err := time.ParseDuration(text)
			if err != nil || d < 0 || d > maxSlowStart {
				s.fault(path, strconv.Quote(clip(text))+" is not a time up to an hour", `such as "30s" or "2m"`)
				break
			}
			o.behind.SlowStartNs = int64(d)
		case dispatchAnnotation:
			i := slices.Index(dispatchNames, text)
			if i < 0 {
				s.choice(path, text, dispatchNames)
				break
			}
			o.server.Dispatch = service.Dispatch(i)
		case sourceAnnotation, sourcePoolAnnotation:
			s.readSource(&o.source, name, text)
		}
	}
	return o
}

// dispatchNames are those of service.Dispatch, in order.
var dispatchNames = []string{service.Translate.String(), service.DirectL2.String(), service.DirectIPIP.String()}

// readSource reads what members see of clients.
func (s *says) readSource(d *sourceDraft, name, text string) {
	path := annotationPath(name)
	automap, kept := service.SourceAutomap.String(), service.SourceKept.String()
	switch {
	case d.mode != service.SourceAsNeeded:
		s.fault(path, "another annotation says what becomes of clients' addresses", "leave "+sourceAnnotation+" or "+sourcePoolAnnotation+" out")
	case text == "":
		s.fault(path, "names no IPPool", automap+", "+kept+", or the name of an IPPool with usage snat")
	case name == sourceAnnotation && text == automap:
		d.mode = service.SourceAutomap
	case name == sourceAnnotation && text == kept:
		d.mode = service.SourceKept
	default:
		*d = sourceDraft{mode: service.SourceFromPool, pool: text, path: path, lenient: name == sourcePoolAnnotation}
	}
}

// choice reports a word that is none of those that there are.
func (s *says) choice(path, text string, words []string) {
	hint := near.Hint(text, words)
	if hint == "" {
		hint = "one of " + strings.Join(words, ", ")
	}
	s.fault(path, fmt.Sprintf("%q is none of those that there are", clip(text)), hint)
}

// clip shortens what a user wrote, for a message.
func clip(text string) string {
	const most = 64
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
