package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/internal/logging"
	"github.com/sluice-net/sluice/node/daemon"
)

// accessFlags say who may ask the daemon.
type accessFlags struct {
	admins, viewers []string
	tls             server.TLS
}

func (a *accessFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&a.admins, "api-admin", nil, "user:NAME or group:NAME: who may change things, beside root and the daemon's own user; may be repeated")
	f.StringArrayVar(&a.viewers, "api-viewer", nil, "user:NAME or group:NAME: who may look, but at no secret; may be repeated")
	f.StringVar(&a.tls.Address, "api-tls", "", "HOST:PORT to serve the API at over TLS as well; the other flags of this name are needed then")
	f.StringVar(&a.tls.CertFile, "api-tls-cert", "", "the daemon's certificate, PEM; it may be replaced while the daemon runs")
	f.StringVar(&a.tls.KeyFile, "api-tls-key", "", "its key, PEM")
	f.StringVar(&a.tls.ClientCAFile, "api-tls-ca", "", "who clients' certificates must be from, PEM; organization sluice:admin or sluice:viewer in them is the role")
}

// parse returns what the flags say. The error names all that is wrong with them.
func (a *accessFlags) parse() (daemon.Access, error) {
	var access daemon.Access
	var errs []error
	var err error
	if access.Admins, err = server.ParseMembers(a.admins); err != nil {
		errs = append(errs, fmt.Errorf("--api-admin: %w", err))
	}
	if access.Viewers, err = server.ParseMembers(a.viewers); err != nil {
		errs = append(errs, fmt.Errorf("--api-viewer: %w", err))
	}
	switch given := a.tls; {
	case given == server.TLS{}:
	case given.Address == "":
		errs = append(errs, errors.New("--api-tls-cert, --api-tls-key and --api-tls-ca are of no use without --api-tls HOST:PORT"))
	default:
		access.TLS = &given
	}
	return access, errors.Join(errs...)
}

// daemonLogs is what the API shows of the log.
type daemonLogs struct{ *logging.Logging }

// SetLogLevels implements server.Logs.
func (l daemonLogs) SetLogLevels(levels map[string]string) error {
	err := l.SetLevels(levels)
	if errors.Is(err, logging.ErrLevel) {
		return api.Invalid("%v", err)
	}
	return err
}

// LogLines implements server.Logs.
func (l daemonLogs) LogLines(most int) []string { return l.Lines(most) }
