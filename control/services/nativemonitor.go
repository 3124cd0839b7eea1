package services

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
)

// readMonitor reads a Monitor.
func readMonitor(v *api.Monitor) (s says) {
	spec := v.Spec
	own := api.HTTPProbe{}
	if spec.HTTP != nil { // objects are not written to
		own = *spec.HTTP
	}
	isHTTP, isTLS := spec.Type == api.MonitorHTTP || spec.Type == api.MonitorHTTPS, spec.Type == api.MonitorHTTPS
	withHTTP := spec.HTTP != nil
	spec.HTTP = &own
	api.SetDefaults(&spec)
	m := &service.Monitor{
		Name: service.Origin{Namespace: v.Namespace, Name: v.Name}.String(), Type: service.MonitorType(oneOf(spec.Type.Values(), string(spec.Type))),
		Rise: spec.RiseCount, Fall: spec.FallCount, Port: uint16(spec.MonitorPort),
	}
	s.times(&spec, m)
	s.payload(&spec, m)
	switch {
	case isHTTP:
		s.request(spec.HTTP, m)
	case withHTTP:
		s.fault("spec.http", "not with the type "+string(spec.Type), "write type: HTTP or HTTPS, or leave it out")
	}
	if spec.TLS != nil && !isTLS {
		s.fault("spec.tls", "not with the type "+string(spec.Type), "write type: HTTPS, or leave it out")
	}
	if isTLS {
		s.certificate(spec.TLS, m)
	}
	s.monitor = m
	return s
}

func (s *says) times(spec *api.MonitorSpec, m *service.Monitor) {
	m.IntervalNs = s.nanoseconds("spec.intervalSeconds", spec.IntervalSeconds)
	m.TimeoutNs = m.IntervalNs
	if spec.TimeoutSeconds == 0 {
		return
	}
	m.TimeoutNs = s.nanoseconds("spec.timeoutSeconds", spec.TimeoutSeconds)
	if spec.TimeoutSeconds > spec.IntervalSeconds {
		s.fault("spec.timeoutSeconds", fmt.Sprintf("%g is more than intervalSeconds, which is %g", spec.TimeoutSeconds, spec.IntervalSeconds),
			"the next probe would begin before the last one ends")
	}
}

// payload reads what belongs to TCP and UDP.
func (s *says) payload(spec *api.MonitorSpec, m *service.Monitor) {
	if spec.Type == api.MonitorICMP && spec.MonitorPort != 0 {
		s.fault("spec.monitorPort", "not with the type ICMP, which has no ports", "leave it out")
	}
	if spec.Type == api.MonitorTCP || spec.Type == api.MonitorUDP {
		if spec.Type == api.MonitorUDP && spec.Send == "" {
			s.fault("spec", "send is needed with the type UDP", "what the server answers to")
		}
		if spec.Send != "" {
			m.Send = []byte(spec.Send)
		}
		if spec.Receive != "" {
			m.Receive = []byte(spec.Receive)
		}
		return
	}
	for _, f := range []struct{ name, text string }{{"send", spec.Send}, {"receive", spec.Receive}} {
		if f.text != "" {
			hint := "write type: TCP or UDP, or leave it out"
			if spec.Type != api.MonitorICMP {
				hint = "http has body and responseBody"
			}
			s.fault("spec."+f.name, "not with the type "+string(spec.Type), hint)
		}
	}
}

// request reads what belongs to HTTP. What is sent is made of it as it is, so nothing may end a line in it.
func (s *says) request(h *api.HTTPProbe, m *service.Monitor) {
	const path = "spec.http"
	m.Method, m.Path, m.Host, m.Version = string(h.Method), h.Path, h.Host, string(h.Version)
	if !strings.HasPrefix(h.Path, "/") || strings.ContainsFunc(h.Path, notVisible) {
		s.fault(path+".path", strconv.Quote(clip(h.Path))+" is not a path", "it begins with /, and spaces in it are %20")
	}
	if strings.ContainsFunc(h.Host, notVisible) || strings.Contains(h.Host, "/") {
		s.fault(path+".host", strconv.Quote(clip(h.Host))+" is not a host", "such as shop.example.com or shop.example.com:8080")
	}
	for i, header := range h.Headers {
		where := index(path+".headers", i)
		switch name := strings.ToLower(header.Name); {
		case len(validation.IsHTTPHeaderName(header.Name)) > 0:
			s.fault(where+".name", strconv.Quote(clip(header.Name))+" is not a header's name", "letters, digits and -")
		case name == "host":
			s.fault(where+".name", "is given as host", "write host, and leave this out")
		case name == "content-length" || name == "transfer-encoding" || name == "connection":
			s.fault(where+".name", "the header "+name+" follows from the probe", "leave it out")
		}
		if strings.ContainsFunc(header.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			s.fault(where+".value", "a header's value has no control characters", "")
		}
		m.Headers = append(m.Headers, [2]string{header.Name, header.Value})
	}
	if h.Body != "" {
		m.Body = []byte(h.Body)
		if h.Method != api.MethodPost && h.Method != api.MethodPut {
			s.fault(path+".body", "not with the method "+string(h.Method), "write method: POST or PUT, or leave it out")
		}
	}
	for i, status := range h.Statuses {
		where := index(path+".statuses", i)
		switch j := slices.Index(h.Statuses[:i], status); {
		case status < 100 || status > 599:
			s.fault(where, strconv.Itoa(status)+" is out of range: 100 to 599", "")
		case j >= 0:
			s.fault(where, strconv.Itoa(status)+" is there twice", "also in "+index(path+".statuses", j))
		}
	}
	m.Statuses = slices.Clone(h.Statuses)
	m.ResponseBody = h.ResponseBody
	if h.ResponseBody != "" && h.Method == api.MethodHead {
		s.fault(path+".responseBody", "not with the method HEAD, whose response has no body", "write method: GET")
	}
}

// notVisible reports a character that is none of a URL's.
func notVisible(r rune) bool { return r <= ' ' || r >= 0x7f }

// certificate reads what belongs to HTTPS.
func (s *says) certificate(t *api.TLSProbe, m *service.Monitor) {
	m.ServerName = m.Host
	if host, _, err := net.SplitHostPort(m.Host); err == nil {
		m.ServerName = host
	}
	if t == nil {
		return
	}
	const path = "spec.tls"
	m.Verify = t.Verify
	if t.ServerName != "" {
		m.ServerName = t.ServerName
		if len(validation.IsDNS1123Subdomain(strings.ToLower(t.ServerName))) > 0 && net.ParseIP(t.ServerName) == nil {
			s.fault(path+".serverName", strconv.Quote(clip(t.ServerName))+" is not a host's name", "such as shop.example.com")
		}
	}
	if t.CA == "" {
		return
	}
	m.CA = []byte(t.CA)
	if !t.Verify {
		s.fault(path+".ca", "has no meaning if certificates are not verified", "write verify: true, or leave it out")
	}
	if !x509.NewCertPool().AppendCertsFromPEM(m.CA) {
		s.fault(path+".ca", "has no certificate in it", "-----BEGIN CERTIFICATE-----, base64, -----END CERTIFICATE-----")
	}
}
