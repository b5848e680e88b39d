-- +goose Up

-- The audit trail newest first, of one site, one act or one actor; a rowid ends each index.
CREATE INDEX audit_site ON audit (site);
CREATE INDEX audit_act ON audit (site, act);
CREATE INDEX audit_actor ON audit (site, actor);
CREATE INDEX audit_actor_act ON audit (site, actor, act);

-- Requests that wait for an answer as they are due, and the others as they were answered.
CREATE INDEX requests_open ON requests (site, due, number) WHERE answered IS NULL;
CREATE INDEX requests_answered ON requests (site, answered, number) WHERE answered IS NOT NULL;
