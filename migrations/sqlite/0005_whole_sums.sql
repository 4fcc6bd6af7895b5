-- Views that guess less. docs/schema.md explains them.

-- An empty text about off-peak hours says that there are none only where the tariff is not one that has some.
DROP VIEW v_load_curve;
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
    -- Of the contract in force. An interval that a boundary cuts has the class of its larger part.
    (
        SELECT CASE
            WHEN o.kind = 1 AND n.distribution_tariff IS NULL THEN 'BASE'
            WHEN (o.kind = 1 OR n.offpeak_hours IS NULL) AND n.distribution_tariff GLOB 'BTINF*ST' THEN 'BASE'
            WHEN o.kind = 2 THEN (
                SELECT CASE
                    WHEN 2 * sum(max(0,
                            min(s.to_minute, (l.start + 3600 * (1 + k.summer)) % 86400 / 60 + k.minutes)
                            - max(s.from_minute, (l.start + 3600 * (1 + k.summer)) % 86400 / 60)))
                        + max((l.start + 3600 * (1 + k.summer)) % 86400 / 60 >= s.from_minute
                            AND (l.start + 3600 * (1 + k.summer)) % 86400 / 60 < s.to_minute) > k.minutes
                    THEN 'HC' ELSE 'HP'
                END
                FROM offpeak_slot s
                WHERE s.text = o.text AND s.season = CASE
                    WHEN strftime('%m', l.start + 3600 * (1 + k.summer), 'unixepoch') BETWEEN '04' AND '10'
                    THEN 0 ELSE 1
                END
            )
        END
        FROM contract n
        LEFT JOIN offpeak o ON o.text = n.offpeak_hours
        WHERE n.meter = m.id AND n.direction = 0 AND d.id = 0
            AND n.valid_from <= (l.start + 3600 * (1 + k.summer)) / 86400
        ORDER BY n.valid_from DESC LIMIT 1
    ) AS tariff_class,
    (SELECT s.name FROM source s WHERE s.id = k.source) AS source
FROM meter m
CROSS JOIN direction d
CROSS JOIN load_curve l ON l.meter = m.id AND l.direction = d.id
CROSS JOIN interval_kind k ON k.id = l.kind;

-- What registers say in all: the total, or where there is none the sum of the first calendar of which no class lacks
-- that it has at other times. Of what differs, the deviation is the largest.
DROP VIEW v_reconciliation;
CREATE VIEW v_reconciliation AS
SELECT
    prm, meter, direction, day, daily_wh, curve_wh, index_wh,
    CASE
        WHEN abs(index_wh - daily_wh) > abs(curve_wh - daily_wh)
            AND abs(index_wh - daily_wh) >= abs(curve_wh - index_wh)
        THEN index_wh - daily_wh
        WHEN abs(curve_wh - index_wh) > abs(curve_wh - daily_wh)
            AND abs(curve_wh - index_wh) > abs(index_wh - daily_wh)
        THEN curve_wh - index_wh
        ELSE coalesce(curve_wh - daily_wh, index_wh - daily_wh, curve_wh - index_wh)
    END AS deviation_wh
FROM (
    SELECT
        s.prm,
        s.meter,
        s.direction,
        c.iso AS day,
        e.wh AS daily_wh,
        CASE WHEN v.state = 0 THEN (
            SELECT sum(l.watts * i.minutes) / 60.0 FROM load_curve l CROSS JOIN interval_kind i ON i.id = l.kind
            WHERE l.meter = s.id AND l.direction = s.way
                AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
        ) END AS curve_wh,
        (
            SELECT sum(b.wh) FROM daily_by_class b
            WHERE b.meter = s.id AND b.direction = s.way AND b.day = c.day
            GROUP BY b.calendar
            HAVING b.calendar = '' OR instr(s.known, '/' || b.calendar || '=' || count(*) || '/')
            ORDER BY b.calendar LIMIT 1
        ) AS index_wh
    FROM (
        -- How many classes each calendar has, counted once: grouped, or it were done for each day.
        SELECT m.id, m.prm, m.name AS meter, d.id AS way, d.name AS direction, (
            SELECT group_concat('/' || k.calendar || '=' || k.classes || '/') FROM (
                SELECT o.calendar, count(DISTINCT o.tariff_class) AS classes FROM register_reading o
                WHERE o.meter = m.id AND o.direction = d.id
                GROUP BY o.calendar
            ) k
        ) AS known
        FROM meter m CROSS JOIN direction d
        GROUP BY m.id, m.prm, m.name, d.id, d.name
    ) s
    CROSS JOIN calendar c
    LEFT JOIN daily_energy e ON e.meter = s.id AND e.direction = s.way AND e.day = c.day
    LEFT JOIN coverage v ON v.meter = s.id AND v.dataset = s.way + 1 AND v.day = c.day
    WHERE e.wh IS NOT NULL OR v.state = 0
        OR EXISTS (SELECT 1 FROM daily_by_class b WHERE b.meter = s.id AND b.direction = s.way AND b.day = c.day)
);

-- A value that is taken out has no new one. The view stays, and so do those that others made of it or of the table: a
-- rename of the newer kind reads every view, finds that there is no such table just now, and writes into some of them the
-- name that is given up.
CREATE TABLE revision_5 (
    id INTEGER PRIMARY KEY,
    meter INTEGER NOT NULL REFERENCES meter,
    dataset INTEGER NOT NULL REFERENCES dataset,
    start INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    old_value INTEGER NOT NULL,
    new_value INTEGER,
    old_local_seconds INTEGER,
    old_source INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    register TEXT
) STRICT;
INSERT INTO revision_5 (id, meter, dataset, start, minutes, old_value, new_value, old_local_seconds, old_source, seen_at,
                        register)
SELECT id, meter, dataset, start, minutes, old_value, new_value, old_local_seconds, old_source, seen_at, register
FROM revision;
DROP TABLE revision;
PRAGMA legacy_alter_table = ON;
ALTER TABLE revision_5 RENAME TO revision;
PRAGMA legacy_alter_table = OFF;

PRAGMA user_version = 5;
