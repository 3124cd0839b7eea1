package api

// Monitor is how the members of Pools that name it are probed: NSX's LBMonitorProfile.
type Monitor struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       MonitorSpec `json:"spec,omitzero" required:"true"`
}

// MonitorSpec is what a probe sends, and what it wants back.
type MonitorSpec struct {
	// Type is ICMP (an echo request), TCP (a connection), UDP (a datagram and its answer), HTTP or HTTPS (a request and its
	// response).
	Type MonitorType `json:"type" required:"true"`

	// IntervalSeconds is the time between two probes of a member. Seconds, 0.01..86400, default 5.
	IntervalSeconds float64 `json:"intervalSeconds,omitempty" min:"0" max:"86400" default:"5"`

	// TimeoutSeconds is how long a probe may take, at most intervalSeconds. Seconds, 0.01..86400, default:
	// intervalSeconds.
	TimeoutSeconds float64 `json:"timeoutSeconds,omitempty" min:"0" max:"86400"`

	// RiseCount is how many probes in a row have to succeed until a member that was down is up; one that was never
	// probed before is up with its first. 1..1000, default 3.
	RiseCount int `json:"riseCount,omitempty" min:"1" max:"1000" default:"3"`

	// FallCount is how many in a row have to fail until it is down. 1..1000, default 3.
	FallCount int `json:"fallCount,omitempty" min:"1" max:"1000" default:"3"`

	// MonitorPort is the port that is probed; not with ICMP. 1..65535, default: the member's.
	MonitorPort int `json:"monitorPort,omitempty" min:"1" max:"65535"`

	// Send is what a TCP or UDP probe sends; needed with UDP. Of TCP the default is nothing: that the connection is
	// established is enough, unless receive is given.
	Send string `json:"send,omitempty"`

	// Receive is what the answer to a TCP or UDP probe has to begin with. Default: anything.
	Receive string `json:"receive,omitempty"`

	// HTTP is the request of an HTTP or HTTPS probe, and the response that is expected.
	HTTP *HTTPProbe `json:"http,omitempty"`

	// TLS says what is expected of the certificate of an HTTPS probe. Default: nothing.
	TLS *TLSProbe `json:"tls,omitempty"`
}

// MonitorType is what a probe does.
type MonitorType string

// The monitor types.
const (
	MonitorICMP  MonitorType = "ICMP"
	MonitorTCP   MonitorType = "TCP"
	MonitorUDP   MonitorType = "UDP"
	MonitorHTTP  MonitorType = "HTTP"
	MonitorHTTPS MonitorType = "HTTPS"
)

// Values lists the allowed values.
func (MonitorType) Values() []string {
	return []string{string(MonitorICMP), string(MonitorTCP), string(MonitorUDP), string(MonitorHTTP), string(MonitorHTTPS)}
}

// HTTPProbe is a request and the response that is expected.
type HTTPProbe struct {
	// Method is GET (default), HEAD, OPTIONS, POST or PUT.
	Method HTTPMethod `json:"method,omitempty" default:"GET"`

	// Path is what is asked for, with its query; it begins with /. Default "/".
	Path string `json:"path,omitempty" default:"/"`

	// Host is the header Host. Default: the member's address and port.
	Host string `json:"host,omitempty"`

	// Headers are more headers. At most 32; default none.
	Headers []HTTPHeader `json:"headers,omitempty" max:"32"`

	// Version is 1.1 (default) or 1.0, in quotation marks.
	Version HTTPVersion `json:"version,omitempty" default:"1.1"`

	// Body is sent with POST and PUT. Default none.
	Body string `json:"body,omitempty"`

	// Statuses are those that are expected. At most 64; default: 200 to 399.
	Statuses []int `json:"statuses,omitempty" max:"64"`

	// ResponseBody has to be in the first 64 KiB of the response's body. Default: anything.
	ResponseBody string `json:"responseBody,omitempty"`
}

// HTTPMethod is a request's method.
type HTTPMethod string

// The methods.
const (
	MethodGet     HTTPMethod = "GET"
	MethodHead    HTTPMethod = "HEAD"
	MethodOptions HTTPMethod = "OPTIONS"
	MethodPost    HTTPMethod = "POST"
	MethodPut     HTTPMethod = "PUT"
)

// Values lists the allowed values.
func (HTTPMethod) Values() []string {
	return []string{string(MethodGet), string(MethodHead), string(MethodOptions), string(MethodPost), string(MethodPut)}
}

// HTTPVersion is a request's version.
type HTTPVersion string

// The versions.
const (
	HTTP10 HTTPVersion = "1.0"
	HTTP11 HTTPVersion = "1.1"
)

// Values lists the allowed values.
func (HTTPVersion) Values() []string { return []string{string(HTTP11), string(HTTP10)} }

// HTTPHeader is a header of a request.
type HTTPHeader struct {
	// Name is the header's.
	Name string `json:"name" required:"true"`

	// Value is the header's. Default empty.
	Value string `json:"value,omitempty"`
}

// TLSProbe is what is expected of a certificate.
type TLSProbe struct {
	// Verify is whether a certificate authority that is known has to vouch for the certificate, and serverName be in it.
	// Default false.
	Verify bool `json:"verify,omitempty"`

	// ServerName is the name that is asked for (SNI), and has to be in the certificate if it is verified. Default: that of
	// http.host, else the member's address.
	ServerName string `json:"serverName,omitempty"`

	// CA are certificates in PEM of the authorities that may vouch; with verify. Default: the system's.
	CA string `json:"ca,omitempty"`
}
