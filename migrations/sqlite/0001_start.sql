-- The tables and views of the first version. docs/schema.md explains them.
--
-- Integers throughout: epochs are seconds since 1970, a day is the number of days since
-- 1970-01-01 of the Paris calendar. Numbers of lookup tables are those of the domain's enums.

CREATE TABLE direction (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO direction VALUES (0, 'consumption'), (1, 'production');

CREATE TABLE dataset (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    direction INTEGER NOT NULL REFERENCES direction,
    curve INTEGER NOT NULL
) STRICT;
INSERT INTO dataset VALUES
    (1, 'consumption_load_curve', 0, 1), (2, 'production_load_curve', 1, 1),
    (3, 'daily_consumption', 0, 0), (4, 'daily_production', 1, 0), (5, 'daily_max_power', 0, 0);

CREATE TABLE day_state (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO day_state VALUES
    (0, 'complete'), (1, 'missing'), (2, 'partial'), (3, 'pending'), (4, 'absent'), (5, 'expired');

CREATE TABLE series_state (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO series_state VALUES
    (0, 'ok'), (1, 'suspended'), (2, 'not_offered'), (3, 'failing'), (4, 'waiting');

-- What a source counts calls by. Budgets and rests belong to it, so renaming a source refills
-- nothing. `refusals` counts failed calls in a row, `strikes` the rests that followed from them.
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    not_before_ms INTEGER,
    code TEXT,
    message TEXT,
    slow_until_ms INTEGER,
    refusals INTEGER NOT NULL DEFAULT 0,
    strikes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What a source said about its own quota: at that instant it took so many more calls.
-- `pool`: 0 calls that reach Enedis, 1 calls that a gateway may answer from its cache.
CREATE TABLE told (
    account INTEGER NOT NULL REFERENCES account,
    pool INTEGER NOT NULL,
    calls_left INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (account, pool)
) WITHOUT ROWID, STRICT;

CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES account,
    configured INTEGER NOT NULL,
    direct INTEGER NOT NULL,
    credentials TEXT NOT NULL
) STRICT;

CREATE TABLE learnt (
    source INTEGER NOT NULL REFERENCES source,
    dataset INTEGER NOT NULL REFERENCES dataset,
    max_days INTEGER,
    max_days_until INTEGER,
    history_short INTEGER NOT NULL,
    api TEXT,
    api_since INTEGER,
    not_before INTEGER,
    PRIMARY KEY (source, dataset)
) WITHOUT ROWID, STRICT;

-- A meter keeps its row and its number when it leaves the configuration.
CREATE TABLE meter (
    id INTEGER PRIMARY KEY,
    prm TEXT NOT NULL UNIQUE CHECK (length(prm) = 14),
    name TEXT NOT NULL,
    source INTEGER NOT NULL REFERENCES source,
    configured INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX meter_by_name ON meter (name);

CREATE TABLE activation (
    meter INTEGER NOT NULL REFERENCES meter,
    direction INTEGER NOT NULL REFERENCES direction,
    refused INTEGER,
    accepted INTEGER,
    refusals INTEGER NOT NULL,
    PRIMARY KEY (meter, direction)
) WITHOUT ROWID, STRICT;

CREATE TABLE series (
    meter INTEGER NOT NULL REFERENCES meter,
    dataset INTEGER NOT NULL REFERENCES dataset,
    source INTEGER NOT NULL REFERENCES source,
    configured INTEGER NOT NULL,
    position INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0 REFERENCES series_state,
    code TEXT,
    message TEXT,
    not_before INTEGER,
    last_success_at INTEGER,
    step INTEGER,
    first_day INTEGER,
    end_day INTEGER,
    PRIMARY KEY (meter, dataset)
) WITHOUT ROWID, STRICT;

-- How a series stands at sources that do not serve it just now.
CREATE TABLE elsewhere (
    meter INTEGER NOT NULL REFERENCES meter,
    dataset INTEGER NOT NULL REFERENCES dataset,
    source INTEGER NOT NULL REFERENCES source,
    state INTEGER NOT NULL REFERENCES series_state,
    code TEXT,
    message TEXT,
    not_before INTEGER,
    PRIMARY KEY (meter, dataset, source)
) WITHOUT ROWID, STRICT;

-- The instant of the last pass and the day that was not published yet.
CREATE TABLE last_pass (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL, end_day INTEGER) STRICT;

-- The days in use without a hole, so that SQL needs no time zone.
CREATE TABLE calendar (
    day INTEGER PRIMARY KEY,
    iso TEXT NOT NULL UNIQUE,
    starts_epoch INTEGER NOT NULL,
    minutes INTEGER NOT NULL
) STRICT;

-- The UTC hours of the days with load curves; drives v_hourly. Its start is the row's own key.
CREATE TABLE clock_hour (start INTEGER PRIMARY KEY) STRICT;

-- What many intervals have in common. Only a handful of combinations exist, and a number below 2
-- takes no room in a row: a half-hour costs 15 bytes in place of 18.
CREATE TABLE interval_kind (
    id INTEGER PRIMARY KEY,
    minutes INTEGER NOT NULL,
    summer INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source
) STRICT;

-- One row an interval. Newest first in the key: history arrives backwards, and filling a tree
-- from its front towards its end leaves full pages behind. Readings have no foreign keys: the
-- checks would cost a good part of the speed of an insert; `linkyd db check` looks instead.
CREATE TABLE load_curve (
    meter INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    start INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    watts INTEGER NOT NULL,
    PRIMARY KEY (meter, direction, start DESC)
) WITHOUT ROWID, STRICT;

CREATE TABLE daily_energy (
    meter INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    day INTEGER NOT NULL,
    wh INTEGER NOT NULL,
    source INTEGER NOT NULL,
    PRIMARY KEY (meter, direction, day DESC)
) WITHOUT ROWID, STRICT;

CREATE TABLE max_power (
    meter INTEGER NOT NULL,
    day INTEGER NOT NULL,
    va INTEGER NOT NULL,
    local_seconds INTEGER,
    at INTEGER,
    source INTEGER NOT NULL,
    PRIMARY KEY (meter, day DESC)
) WITHOUT ROWID, STRICT;

CREATE TABLE coverage (
    meter INTEGER NOT NULL,
    dataset INTEGER NOT NULL,
    day INTEGER NOT NULL,
    state INTEGER NOT NULL,
    stored INTEGER NOT NULL DEFAULT 0,
    expected INTEGER,
    checked_at INTEGER,
    first_left_out INTEGER,
    next_try INTEGER,
    certain INTEGER NOT NULL DEFAULT 0,
    last_try INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (meter, dataset, day)
) WITHOUT ROWID, STRICT;

-- Old values of what changed at the source. `start` is the interval's, or the day's midnight.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY,
    meter INTEGER NOT NULL REFERENCES meter,
    dataset INTEGER NOT NULL REFERENCES dataset,
    start INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    old_value INTEGER NOT NULL,
    new_value INTEGER NOT NULL,
    old_local_seconds INTEGER,
    old_source INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;

-- The journal of calls, and the budget. `at_ms` is the machine's clock, `asked_at` the calendar's.
-- `outcome`: 1 answered, 0 refused or failed, NULL never completed. A token has no dataset.
CREATE TABLE call (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account,
    at_ms INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source,
    pool INTEGER NOT NULL,
    api TEXT,
    meter INTEGER REFERENCES meter,
    dataset INTEGER REFERENCES dataset,
    start_day INTEGER,
    end_day INTEGER,
    outcome INTEGER,
    status INTEGER,
    code TEXT,
    row_count INTEGER,
    duration_ms INTEGER
) STRICT;
CREATE INDEX call_by_account ON call (account, at_ms, pool);
CREATE INDEX call_failed ON call (asked_at) WHERE outcome = 0;

-- Registers, contracts and consents: filled by the datasets that bring them.
CREATE TABLE register_reading (
    meter INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    calendar TEXT NOT NULL,
    register TEXT NOT NULL,
    tariff_class TEXT NOT NULL,
    read_at INTEGER NOT NULL,
    wh INTEGER NOT NULL,
    source INTEGER NOT NULL,
    PRIMARY KEY (meter, direction, calendar, register, tariff_class, read_at)
) WITHOUT ROWID, STRICT;

CREATE TABLE daily_by_class (
    meter INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    day INTEGER NOT NULL,
    calendar TEXT NOT NULL,
    tariff_class TEXT NOT NULL,
    wh INTEGER NOT NULL,
    PRIMARY KEY (meter, direction, day, calendar, tariff_class)
) WITHOUT ROWID, STRICT;

CREATE TABLE contract (
    meter INTEGER NOT NULL REFERENCES meter,
    direction INTEGER NOT NULL REFERENCES direction,
    valid_from INTEGER NOT NULL,
    segment TEXT,
    subscribed_va INTEGER,
    distribution_tariff TEXT,
    offpeak_hours TEXT,
    activated_on INTEGER,
    PRIMARY KEY (meter, direction, valid_from)
) WITHOUT ROWID, STRICT;

CREATE TABLE consent (meter INTEGER PRIMARY KEY REFERENCES meter, until INTEGER) STRICT;

-- The views. CROSS JOIN keeps SQLite to the order in which they are written: the few meters
-- first, then days or hours by a range, then one search of a key for each of them.

CREATE VIEW v_load_curve AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    strftime('%Y-%m-%dT%H:%M:%SZ', l.start, 'unixepoch') AS starts_at,
    l.start AS starts_epoch,
    strftime('%Y-%m-%dT%H:%M:%SZ', l.start + 60 * k.minutes, 'unixepoch') AS ends_at,
    strftime('%Y-%m-%dT%H:%M:%S', l.start + 3600 * (1 + k.summer), 'unixepoch') AS starts_local,
    date(l.start + 3600 * (1 + k.summer), 'unixepoch') AS day,
    k.minutes,
    l.watts,
    l.watts * k.minutes / 60.0 AS wh,
    NULL AS tariff_class,
    (SELECT s.name FROM source s WHERE s.id = k.source) AS source
FROM meter m
CROSS JOIN direction d
CROSS JOIN load_curve l ON l.meter = m.id AND l.direction = d.id
CROSS JOIN interval_kind k ON k.id = l.kind;

CREATE VIEW v_hourly AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    strftime('%Y-%m-%dT%H:%M:%SZ', h.start, 'unixepoch') AS starts_at,
    h.start AS starts_epoch,
    -- The clock only changes on the hour, so any interval that starts in the hour knows.
    strftime('%Y-%m-%dT%H:%M:%S', h.start + 3600 * (1 + coalesce(
        max(CASE WHEN l.start >= h.start THEN k.summer END), max(k.summer))), 'unixepoch') AS starts_local,
    date(h.start + 3600 * (1 + coalesce(
        max(CASE WHEN l.start >= h.start THEN k.summer END), max(k.summer))), 'unixepoch') AS day,
    sum(l.watts * (min(l.start + 60 * k.minutes, h.start + 3600) - max(l.start, h.start))) / 3600.0 AS wh,
    sum(min(l.start + 60 * k.minutes, h.start + 3600) - max(l.start, h.start)) / 60 AS minutes
FROM meter m
CROSS JOIN direction d
CROSS JOIN clock_hour h
CROSS JOIN load_curve l
    ON l.meter = m.id AND l.direction = d.id
    AND l.start > h.start - 3600 AND l.start < h.start + 3600
CROSS JOIN interval_kind k ON k.id = l.kind AND l.start + 60 * k.minutes > h.start
GROUP BY m.id, d.id, h.start, m.prm, m.name, d.name;

CREATE VIEW v_daily AS
SELECT
    prm, meter, day, day_epoch, consumption_wh, production_wh, max_power_va, max_power_at,
    curve_consumption_wh, curve_production_wh,
    NULL AS hp_wh,
    NULL AS hc_wh,
    coalesce(consumption_wh, curve_consumption_wh) AS best_consumption_wh,
    CASE
        WHEN consumption_wh IS NOT NULL THEN 'daily'
        WHEN curve_consumption_wh IS NOT NULL THEN 'curve'
    END AS consumption_basis,
    subscribed_kva
FROM (
    SELECT
        m.prm,
        m.name AS meter,
        c.iso AS day,
        c.starts_epoch AS day_epoch,
        e.wh AS consumption_wh,
        p.wh AS production_wh,
        x.va AS max_power_va,
        strftime('%Y-%m-%dT%H:%M:%SZ', x.at, 'unixepoch') AS max_power_at,
        CASE WHEN ec.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = m.id AND l.direction = 0
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_consumption_wh,
        CASE WHEN pc.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = m.id AND l.direction = 1
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_production_wh,
        (
            SELECT k.subscribed_va / 1000.0 FROM contract k
            WHERE k.meter = m.id AND k.direction = 0 AND k.valid_from <= c.day
            ORDER BY k.valid_from DESC LIMIT 1
        ) AS subscribed_kva
    FROM meter m
    CROSS JOIN calendar c
    LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = 0 AND e.day = c.day
    LEFT JOIN daily_energy p ON p.meter = m.id AND p.direction = 1 AND p.day = c.day
    LEFT JOIN max_power x ON x.meter = m.id AND x.day = c.day
    LEFT JOIN coverage ec ON ec.meter = m.id AND ec.dataset = 1 AND ec.day = c.day
    LEFT JOIN coverage pc ON pc.meter = m.id AND pc.dataset = 2 AND pc.day = c.day
    WHERE e.wh IS NOT NULL OR p.wh IS NOT NULL OR x.va IS NOT NULL OR ec.state = 0 OR pc.state = 0
);

CREATE VIEW v_monthly AS
SELECT
    m.prm,
    m.name AS meter,
    substr(c.iso, 1, 8) || '01' AS month,
    CAST(substr(c.iso, 1, 4) AS INTEGER) AS year,
    CAST(substr(c.iso, 6, 2) AS INTEGER) AS month_number,
    sum(e.wh) AS consumption_wh,
    sum(p.wh) AS production_wh,
    max(x.va) AS max_power_va,
    CAST(strftime('%d', substr(c.iso, 1, 8) || '01', '+1 month', '-1 day') AS INTEGER) AS days_in_month,
    count(e.wh) AS consumption_days,
    count(p.wh) AS production_days
FROM meter m
CROSS JOIN calendar c
LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = 0 AND e.day = c.day
LEFT JOIN daily_energy p ON p.meter = m.id AND p.direction = 1 AND p.day = c.day
LEFT JOIN max_power x ON x.meter = m.id AND x.day = c.day
WHERE e.wh IS NOT NULL OR p.wh IS NOT NULL OR x.va IS NOT NULL
GROUP BY m.id, substr(c.iso, 1, 8);

CREATE VIEW v_yearly AS
SELECT
    m.prm,
    m.name AS meter,
    CAST(substr(c.iso, 1, 4) AS INTEGER) AS year,
    sum(e.wh) AS consumption_wh,
    sum(p.wh) AS production_wh,
    max(x.va) AS max_power_va,
    CAST(strftime('%j', substr(c.iso, 1, 4) || '-12-31') AS INTEGER) AS days_in_year,
    count(e.wh) AS consumption_days,
    count(p.wh) AS production_days
FROM meter m
CROSS JOIN calendar c
LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = 0 AND e.day = c.day
LEFT JOIN daily_energy p ON p.meter = m.id AND p.direction = 1 AND p.day = c.day
LEFT JOIN max_power x ON x.meter = m.id AND x.day = c.day
WHERE e.wh IS NOT NULL OR p.wh IS NOT NULL OR x.va IS NOT NULL
GROUP BY m.id, substr(c.iso, 1, 4);

CREATE VIEW v_coverage AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS dataset,
    c.iso AS day,
    c.starts_epoch AS day_epoch,
    (SELECT t.name FROM day_state t WHERE t.id = v.state) AS state,
    v.stored AS intervals_stored,
    coalesce(v.expected, CASE WHEN d.curve = 1 THEN c.minutes / s.step ELSE 1 END) AS intervals_expected,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.checked_at, 'unixepoch') AS checked_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.next_try, 'unixepoch') AS next_try_at
FROM meter m
CROSS JOIN series s ON s.meter = m.id
CROSS JOIN dataset d ON d.id = s.dataset
CROSS JOIN calendar c
CROSS JOIN coverage v ON v.meter = s.meter AND v.dataset = s.dataset AND v.day = c.day
WHERE (v.day >= s.first_day AND v.day < s.end_day) OR v.state = 5;

CREATE VIEW v_gap AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS dataset,
    date(min(r.day) * 86400, 'unixepoch') AS first_day,
    date(max(r.day) * 86400, 'unixepoch') AS last_day,
    count(*) AS days,
    (SELECT t.name FROM day_state t WHERE t.id = r.state) AS state
FROM (
    SELECT
        v.meter, v.dataset, v.day, v.state,
        v.day - row_number() OVER (PARTITION BY v.meter, v.dataset, v.state ORDER BY v.day) AS run
    FROM series s
    CROSS JOIN coverage v
        ON v.meter = s.meter AND v.dataset = s.dataset AND v.day >= s.first_day AND v.day < s.end_day
    WHERE s.configured = 1 AND v.state <> 0
) r
JOIN meter m ON m.id = r.meter
JOIN dataset d ON d.id = r.dataset
GROUP BY r.meter, r.dataset, r.state, r.run;

CREATE VIEW v_freshness AS
SELECT
    prm, meter, dataset,
    date(newest * 86400, 'unixepoch') AS newest_day,
    max(end_day - 1 - newest, 0) AS lag_days,
    state, last_success_at, last_error_code, last_error
FROM (
    SELECT
        m.prm,
        m.name AS meter,
        d.name AS dataset,
        (
            SELECT v.day FROM coverage v
            WHERE v.meter = s.meter AND v.dataset = s.dataset AND v.state = 0
            ORDER BY v.day DESC LIMIT 1
        ) AS newest,
        coalesce(s.end_day, (SELECT p.end_day FROM last_pass p)) AS end_day,
        (SELECT t.name FROM series_state t WHERE t.id = s.state) AS state,
        strftime('%Y-%m-%dT%H:%M:%SZ', s.last_success_at, 'unixepoch') AS last_success_at,
        s.code AS last_error_code,
        s.message AS last_error
    FROM series s
    JOIN meter m ON m.id = s.meter
    JOIN dataset d ON d.id = s.dataset
    WHERE s.configured = 1
);

CREATE VIEW v_call AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', k.at_ms / 1000, 'unixepoch') || printf('.%03dZ', k.at_ms % 1000) AS called_at,
    (SELECT s.name FROM source s WHERE s.id = k.source) AS source,
    k.api,
    m.prm,
    d.name AS dataset,
    date(k.start_day * 86400, 'unixepoch') AS start_day,
    date(k.end_day * 86400, 'unixepoch') AS end_day,
    k.status,
    k.code AS error_code,
    k.row_count,
    k.duration_ms
FROM call k
JOIN meter m ON m.id = k.meter
JOIN dataset d ON d.id = k.dataset
-- Its line was written, and then there was no token or no time: no call was made.
WHERE k.code IS NOT 'not_made';

CREATE VIEW v_revision AS
SELECT
    m.prm,
    d.name AS dataset,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.start, 'unixepoch') AS starts_at,
    r.old_value,
    r.new_value,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.seen_at, 'unixepoch') AS seen_at
FROM revision r
JOIN meter m ON m.id = r.meter
JOIN dataset d ON d.id = r.dataset;

CREATE VIEW v_index AS
SELECT
    m.prm,
    m.name AS meter,
    d.name AS direction,
    strftime('%Y-%m-%dT%H:%M:%SZ', i.read_at, 'unixepoch') AS read_at,
    i.calendar,
    i.tariff_class,
    i.register,
    i.wh
FROM register_reading i
JOIN meter m ON m.id = i.meter
JOIN direction d ON d.id = i.direction;

CREATE VIEW v_daily_by_class AS
SELECT m.prm, m.name AS meter, d.name AS direction, c.iso AS day, b.calendar, b.tariff_class, b.wh
FROM meter m
CROSS JOIN direction d
CROSS JOIN calendar c
CROSS JOIN daily_by_class b ON b.meter = m.id AND b.direction = d.id AND b.day = c.day;

CREATE VIEW v_reconciliation AS
SELECT prm, meter, direction, day, daily_wh, curve_wh, NULL AS index_wh, curve_wh - daily_wh AS deviation_wh
FROM (
    SELECT
        m.prm,
        m.name AS meter,
        d.name AS direction,
        c.iso AS day,
        e.wh AS daily_wh,
        CASE WHEN v.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = m.id AND l.direction = d.id
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_wh
    FROM meter m
    CROSS JOIN direction d
    CROSS JOIN calendar c
    LEFT JOIN daily_energy e ON e.meter = m.id AND e.direction = d.id AND e.day = c.day
    LEFT JOIN coverage v ON v.meter = m.id AND v.dataset = d.id + 1 AND v.day = c.day
    WHERE e.wh IS NOT NULL OR v.state = 0
);

CREATE VIEW v_meter AS
SELECT
    m.prm,
    m.name AS meter,
    (SELECT s.name FROM source s WHERE s.id = m.source) AS source,
    k.segment,
    k.subscribed_va / 1000.0 AS subscribed_kva,
    k.distribution_tariff,
    k.offpeak_hours,
    date(coalesce(
        k.activated_on,
        (
            SELECT a.accepted FROM activation a
            WHERE a.meter = m.id AND a.accepted = a.refused + 1
            ORDER BY a.direction LIMIT 1
        )
    ) * 86400, 'unixepoch') AS activated_on,
    strftime('%Y-%m-%dT%H:%M:%SZ', n.until, 'unixepoch') AS consent_until
FROM meter m
LEFT JOIN contract k ON k.meter = m.id AND (k.direction, k.valid_from) = (
    SELECT o.direction, o.valid_from FROM contract o WHERE o.meter = m.id
    ORDER BY o.direction, o.valid_from DESC LIMIT 1
)
LEFT JOIN consent n ON n.meter = m.id;

-- 'LNKY': files of other programs are refused.
PRAGMA application_id = 1280199513;
PRAGMA user_version = 1;
