CREATE TABLE decisions (
    pilot VARCHAR(200) NOT NULL,
    number INTEGER NOT NULL,
    time VARCHAR(40) NOT NULL,
    version INTEGER NOT NULL,
    model VARCHAR(64) NOT NULL,
    evidence VARCHAR(64) NOT NULL,
    stage_from VARCHAR(20) NOT NULL,
    stage_to VARCHAR(20) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    who VARCHAR(255) NOT NULL,
    role VARCHAR(20) NOT NULL,
    reason TEXT NOT NULL,
    waiver TEXT NOT NULL,
    previous VARCHAR(64) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    PRIMARY KEY (pilot, number),
    UNIQUE (pilot, previous),
    UNIQUE (hash)
)
--
CREATE FUNCTION decisions_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'decisions are never changed'; END $$
--
CREATE TRIGGER decisions_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions EXECUTE FUNCTION decisions_kept()
--
CREATE TABLE productions (
    number INTEGER NOT NULL,
    pilot VARCHAR(200) NOT NULL,
    period VARCHAR(20) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    scheduled VARCHAR(40) NOT NULL,
    started VARCHAR(40) NOT NULL,
    ended VARCHAR(40) NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    release INTEGER NOT NULL,
    final BOOLEAN NOT NULL,
    causes TEXT NOT NULL,
    PRIMARY KEY (number)
)
--
CREATE INDEX ix_productions_pilot ON productions (pilot)
--
CREATE FUNCTION productions_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'productions are never changed'; END $$
--
CREATE TRIGGER productions_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON productions EXECUTE FUNCTION productions_kept()
--
CREATE TABLE reviews (
    id SERIAL NOT NULL,
    pilot VARCHAR(200) NOT NULL,
    period VARCHAR(20) NOT NULL,
    unit VARCHAR(64) NOT NULL,
    variable VARCHAR(200) NOT NULL,
    kind VARCHAR(10) NOT NULL,
    code VARCHAR(200) NOT NULL,
    coder VARCHAR(255) NOT NULL,
    time VARCHAR(40) NOT NULL,
    PRIMARY KEY (id)
)
--
CREATE INDEX ix_reviews_pilot ON reviews (pilot)
--
CREATE INDEX ix_reviews_period ON reviews (period)
--
INSERT INTO decisions (pilot, number, time, version, model, evidence, stage_from, stage_to, kind, who, role, reason, waiver, previous, hash) VALUES ('diary', 1, '2026-11-21T23:08:46.502+00:00', 1, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'idea', 'valid', 'promote', 'ada', 'methodologist', 'as agreed', '', '0000000000000000000000000000000000000000000000000000000000000000', '5ac1c55db1336be89b689f8dd69c2a00d7ca4a1d497ca1e5596c7f7563b5385e')
--
INSERT INTO decisions (pilot, number, time, version, model, evidence, stage_from, stage_to, kind, who, role, reason, waiver, previous, hash) VALUES ('diary', 2, '2026-11-21T23:08:46.525+00:00', 2, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'idea', 'valid', 'promote', 'ada', 'methodologist', 'as agreed', '', '5ac1c55db1336be89b689f8dd69c2a00d7ca4a1d497ca1e5596c7f7563b5385e', '26347e6ef40d73cccfcc6ad6442277cea0707c2029420ad3a81f5aa70e831e4a')
--
INSERT INTO decisions (pilot, number, time, version, model, evidence, stage_from, stage_to, kind, who, role, reason, waiver, previous, hash) VALUES ('diary', 3, '2026-11-21T23:08:46.538+00:00', 3, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'idea', 'valid', 'promote', 'ada', 'methodologist', 'as agreed', '', '26347e6ef40d73cccfcc6ad6442277cea0707c2029420ad3a81f5aa70e831e4a', '682f4a7520287a3f1f03b1bbf2d25a930adfc5586deb6c21b7aba9b681906c6d')
--
INSERT INTO decisions (pilot, number, time, version, model, evidence, stage_from, stage_to, kind, who, role, reason, waiver, previous, hash) VALUES ('trade', 1, '2026-11-21T23:08:46.561+00:00', 1, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'idea', 'valid', 'promote', 'ada', 'methodologist', 'as agreed', '', '0000000000000000000000000000000000000000000000000000000000000000', 'cefc8903c77655d6b107820a75a7e4e92527578440e77595c5707fe6cb9c0c9e')
--
INSERT INTO productions (number, pilot, period, kind, scheduled, started, ended, outcome, release, final, causes) VALUES (1, 'diary', '2026-03', 'scheduled', '2026-04-03T06:00:00+00:00', '2026-04-03T06:00:04.120+00:00', '2026-04-03T06:02:11.003+00:00', 'done', 1, true, '')
--
INSERT INTO productions (number, pilot, period, kind, scheduled, started, ended, outcome, release, final, causes) VALUES (2, 'diary', '2026-04', 'scheduled', '2026-04-03T06:00:00+00:00', '2026-04-03T06:00:04.120+00:00', '2026-04-03T06:02:11.003+00:00', 'failed', 0, false, '')
--
INSERT INTO reviews (pilot, period, unit, variable, kind, code, coder, time) VALUES ('diary', '2026-03', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '', 'queue', '01.1', 'kim', '2026-11-21T23:08:46+00:00')
--
INSERT INTO reviews (pilot, period, unit, variable, kind, code, coder, time) VALUES ('diary', '2026-03', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', '', 'audit', '01.2', 'lee', '2026-11-21T23:08:46+00:00')
