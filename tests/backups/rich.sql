-- What an archive can hold that has an order of its own.
CREATE TABLE parents (id serial PRIMARY KEY, name text);
CREATE TABLE children (id bigserial PRIMARY KEY, parent int REFERENCES parents, payload bytea);
INSERT INTO parents (name) SELECT 'parent ' || n FROM generate_series(1, 50) AS n;
INSERT INTO children (parent, payload)
    SELECT 1 + n % 50, pg_catalog.decode(md5(n::text) || md5((n + 7)::text), 'hex') FROM generate_series(1, 20000) AS n;
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_2025 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO parts SELECT n, date '2025-01-01' + n FROM generate_series(1, 300) AS n;
CREATE MATERIALIZED VIEW totals AS SELECT parent, count(*) AS n FROM children GROUP BY parent;
CREATE VIEW named AS SELECT c.id, p.name FROM children AS c JOIN parents AS p ON p.id = c.parent;
SELECT lo_from_bytea(0, pg_catalog.decode(repeat('00ff', 20000), 'hex')) FROM generate_series(1, 5);
CREATE INDEX ON children (parent);
COMMENT ON TABLE parents IS 'with a comment';
