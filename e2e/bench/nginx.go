package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// nginx is where the rival is.
type nginx struct{ binary, module string }

const brotliModule = "ngx_http_brotli_static_module.so"

// findNginx looks for nginx and its module that serves files as they were compressed beforehand.
func findNginx() (n nginx, err error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} { // sbin is often not in PATH
		if n.binary, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return n, errors.New("nginx is not installed")
	}
	for _, folder := range []string{"/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules"} {
		n.module = filepath.Join(folder, brotliModule)
		if _, err = os.Stat(n.module); err == nil {
			return n, nil
		}
	}
	return n, errors.New("nginx has no " + brotliModule)
}

// Everything that nginx writes is under its prefix. The open file cache spares it the look at the disk, as in a set-up
// that is tuned for speed.
const nginxConf = `load_module %s;
%s
worker_processes %s;
daemon off;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_timeout 60;
	keepalive_requests 1000000000;
	open_file_cache max=16 inactive=10m;
	open_file_cache_valid 10m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen %s;
		root www;
		types {}
		default_type "%s";
		brotli_static on;
		add_header Vary "%s";
		add_header Cache-Control "%s";
	}
}
`

// start serves a sample from a file.
func (n nginx) start(ctx context.Context, folder, workers string, s sample) (*process, error) {
	file := filepath.Join(folder, "www", filepath.FromSlash(scriptPath)+".br")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, s.Body, 0o600); err != nil {
		return nil, err
	}
	listen, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	// As root nginx would change to a user who may not read the folder.
	as := ""
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		as = "user " + u.Username + ";"
	}
	conf := fmt.Sprintf(nginxConf, n.module, as, workers, listen, s.Header.Get("Content-Type"), s.Header.Get("Vary"), s.Header.Get("Cache-Control"))
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return start(ctx, "http://"+listen, n.binary, "-p", folder+string(filepath.Separator), "-e", "stderr", "-c", path)
}

// freePort finds an address that nobody listens on at the moment: nginx does not tell which port it was given.
func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// version is what nginx calls itself.
func (n nginx) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, n.binary, "-v").CombinedOutput()
	if err != nil {
		return "nginx"
	}
	_, name, _ := strings.Cut(strings.TrimSpace(string(out)), ": ")
	return strings.TrimPrefix(name, "nginx version: ")
}
