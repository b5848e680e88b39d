package server

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stilehq/stile/server/ledger"
)

// healthy answers GET /healthz: the process serves.
func (s *Server) healthy(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// ready answers GET /readyz: choices can be stored.
func (s *Server) ready(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	if err := s.ledger.Ping(ctx); err != nil {
		s.log.Error("not ready", "error", err)
		return fail(http.StatusServiceUnavailable, "choices cannot be stored now: see the log")
	}
	if st := s.ledger.Stats(); st.Away {
		return c.String(http.StatusOK, "ok: the database is away, and choices are kept in the spool until it is back\n")
	}
	return c.String(http.StatusOK, "ok\n")
}

// metrics are the server's counters, in a registry of their own. No label has a value that a visitor can make up.
type metrics struct {
	registry *prometheus.Registry
	answers  map[bool]prometheus.Counter // by whether the visitor was asked
	choices  *prometheus.CounterVec
	mails    *prometheus.CounterVec
	retained retained
}

func newMetrics(db *ledger.Ledger) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), answers: map[bool]prometheus.Counter{}}
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stile_answers_total", Help: "Answers of the script endpoint, by whether they held the banner.",
	}, []string{"banner"})
	m.answers[false], m.answers[true] = answers.WithLabelValues("no"), answers.WithLabelValues("yes")
	m.choices = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stile_choices_total", Help: "Choices that were recorded.",
	}, []string{"site", "action"})
	m.mails = mailMetric()
	m.retained = newRetained()
	m.registry.MustRegister(answers, m.choices, m.mails, m.retained.records, m.retained.last,
		counter("stile_ledger_commits_total", "Transactions that stored records.", func() uint64 { return db.Stats().Commits }),
		counter("stile_ledger_busy_total", "Choices refused because too many waited.", func() uint64 { return db.Stats().Busy }),
		counter("stile_ledger_spooled_total", "Choices that were kept in the spool while the database was away.", func() uint64 { return db.Stats().Spooled }),
		counter("stile_ledger_brought_total", "Choices that were brought from the spool to the database.", func() uint64 { return db.Stats().Brought }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stile_ledger_away", Help: "1 while the database is away."}, func() float64 {
			if db.Stats().Away {
				return 1
			}
			return 0
		}),
		counter("stile_ledger_failed_total", "Choices that could not be stored.", func() uint64 { return db.Stats().Failed }),
	)
	return m
}

func counter(name, help string, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

func (m *metrics) handler() echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
}
