-- The ledger, delivered whole in its first version; creates only what is missing. Names in braces are filled in: schema
-- bootstrapper holds the tables under their own names, any other schema holds them with the prefix bootstrapper_.

CREATE TABLE IF NOT EXISTS {meta} (
    key   text PRIMARY KEY,
    value text NOT NULL
);
-- Since version 6, which earlier releases do not write to: that of a freeze, and that of an environment.
COMMENT ON TABLE {meta} IS 'bootstrapper: version of the ledger, and marks of the database';

-- One row, always. The authority on who may write: a writer locks it and compares run_id and token.
CREATE TABLE IF NOT EXISTS {lock} (
    single               boolean PRIMARY KEY DEFAULT true CHECK (single),
    run_id               uuid,
    token                bigint NOT NULL DEFAULT 0,
    mode                 text CHECK (mode IN ('direct', 'pooled')),
    host                 text,
    pid                  integer,
    step                 text,
    backend_pid          integer,
    backend_start        timestamptz,
    worker_backend_pid   integer,
    worker_backend_start timestamptz,
    acquired_at          timestamptz,
    expires_at           timestamptz
);
COMMENT ON TABLE {lock} IS 'bootstrapper: who may write; expires_at counts only in pooled mode and beside a worker';

CREATE TABLE IF NOT EXISTS {runs} (
    run_id      uuid PRIMARY KEY,
    serial      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    token       bigint NOT NULL,
    command     text NOT NULL,
    environment text,
    inputs      text NOT NULL,
    plan        text,
    version     text NOT NULL,
    host        text NOT NULL,
    pid         integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    outcome     text CHECK (outcome IN ('done', 'failed', 'interrupted', 'broken')),
    error       text
);
-- Since version 2 of the ledger; in two statements, so that nobody is said to have made the runs before it.
ALTER TABLE {runs} ADD COLUMN IF NOT EXISTS role text;
ALTER TABLE {runs} ALTER COLUMN role SET DEFAULT session_user;
-- Since version 4: whose run it was, and what a restore put back: file, when and by which run it was taken, revisions.
ALTER TABLE {runs} ADD COLUMN IF NOT EXISTS project text;
ALTER TABLE {runs} ADD COLUMN IF NOT EXISTS file text;
ALTER TABLE {runs} ADD COLUMN IF NOT EXISTS restored jsonb;
-- Since version 5: digests of the steps and fixtures as the run declared them.
ALTER TABLE {runs} ADD COLUMN IF NOT EXISTS declared jsonb;
COMMENT ON TABLE {runs} IS 'bootstrapper: every run that took the lock; without an outcome it did not finish';

CREATE TABLE IF NOT EXISTS {steps} (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id      uuid NOT NULL REFERENCES {runs},
    step        text NOT NULL,
    uses        text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('intent', 'result')),
    changes     jsonb NOT NULL,
    marks       text[] NOT NULL DEFAULT ARRAY[]::text[],
    recorded_at timestamptz NOT NULL,
    previous    bytea,
    hash        bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS {steps_run_id_idx} ON {steps} (run_id);
CREATE INDEX IF NOT EXISTS {steps_marks_idx} ON {steps} USING gin (marks);
COMMENT ON TABLE {steps} IS 'bootstrapper: what was done; each row carries the hash of the one before';

-- A row is written in the transaction that makes the change. That of an autocommit block is in the one that the block
-- commits first, with all indexes that there were: where no later row tells of the same revision, it was cut off there.
-- No foreign key: its check costs as much as the row, and a long history is applied row by row.
CREATE TABLE IF NOT EXISTS {revisions} (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   uuid NOT NULL,
    step     text NOT NULL,
    revision text NOT NULL,
    action   text NOT NULL CHECK (action IN ('upgrade', 'downgrade', 'stamp', 'autocommit')),
    seconds  double precision,
    indexes  text[],
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Since version 3: that of the file whose autocommit block began.
ALTER TABLE {revisions} ADD COLUMN IF NOT EXISTS file_sha256 text;
COMMENT ON TABLE {revisions} IS 'bootstrapper: revisions of migrations, each with the run that applied it';

CREATE TABLE IF NOT EXISTS {digests} (
    fixture      text NOT NULL,
    bucket       bigint NOT NULL,
    columns      text[] NOT NULL,
    digest       bytea NOT NULL,
    server_major integer NOT NULL,
    run_id       uuid NOT NULL,
    PRIMARY KEY (fixture, bucket)
);
COMMENT ON TABLE {digests} IS 'bootstrapper: digests of the rows that fixtures left, never their values';

INSERT INTO {meta} AS known VALUES ('ledger_version', '6')
ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE known.value::integer < excluded.value::integer;
-- Since version 6: the hash of the last row of steps, so that a row that is missing at the end is noticed.
INSERT INTO {meta} SELECT 'last_step', encode(hash, 'hex') FROM {steps} ORDER BY id DESC LIMIT 1
ON CONFLICT DO NOTHING;
-- Above every token that was ever given out, also where a restored dump brought the runs without their lock.
INSERT INTO {lock} (token) SELECT coalesce(max(token), 0) FROM {runs} ON CONFLICT DO NOTHING;
