package thirdparty

import (
	_ "embed"
	"html/template"
	"net/http"
)

var (
	//go:embed web/counter.js
	counterJS []byte
	//go:embed web/widget.js
	widgetJS []byte
	//go:embed web/film.html
	filmHTML string
)

// transparentGIF is one transparent pixel in 43 bytes, the smallest that every browser draws.
const transparentGIF = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

const year = 365 * 24 * 60 * 60

// handler is what a party of this kind answers.
func (q Party) handler() http.Handler {
	mux := http.NewServeMux()
	switch q.Kind {
	case Collector:
		mux.Handle("GET /counter.js", script(counterJS))
		mux.HandleFunc("GET /hit", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	case Pixel:
		mux.HandleFunc("GET /p.gif", func(w http.ResponseWriter, _ *http.Request) {
			q.remember(w)
			w.Header().Set("Content-Type", "image/gif")
			_, _ = w.Write([]byte(transparentGIF))
		})
	case Chat:
		mux.Handle("GET /widget.js", script(widgetJS))
	case Video:
		film := template.Must(template.New("film").Parse(filmHTML))
		mux.HandleFunc("GET /embed/{name}", func(w http.ResponseWriter, r *http.Request) {
			q.remember(w)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_ = film.Execute(w, r.PathValue("name"))
		})
	}
	return mux
}

// remember sets the cookie by which the party would know the visitor again on other companies' sites. SameSite=None
// needs Secure, which browsers accept on loopback without TLS as well.
func (q Party) remember(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: q.Name + "_id", Value: "visitor-1", Path: "/", MaxAge: year,
		SameSite: http.SameSiteNoneMode, Secure: true, HttpOnly: true,
	})
}

func script(source []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(source)
	})
}
