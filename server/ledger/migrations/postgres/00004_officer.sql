-- +goose Up

-- The audit trail newest first, of one site, one act or one actor.
CREATE INDEX audit_site ON audit (site, leaf);
CREATE INDEX audit_act ON audit (site, act, leaf);
CREATE INDEX audit_actor ON audit (site, actor, leaf);
CREATE INDEX audit_actor_act ON audit (site, actor, act, leaf);

-- Requests that wait for an answer as they are due, and the others as they were answered.
CREATE INDEX requests_open ON requests (site, due, number) WHERE answered IS NULL;
CREATE INDEX requests_answered ON requests (site, answered, number) WHERE answered IS NOT NULL;
