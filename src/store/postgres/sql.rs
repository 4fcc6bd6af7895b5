//! Every statement of the PostgreSQL store, side by side. A test prepares each of them against a
//! fresh schema, so that a misspelt column cannot reach a user. The only other SQL is in
//! `migrations/postgres`, and nothing is put together at run time but the beginning of a
//! transaction and what carries whole tables (`bulk`).
//!
//! Rows travel as arrays, one a column, which `unnest` puts side by side: so a statement has the
//! same text for one row and for a thousand. What is the same already is left out before `ON
//! CONFLICT` is reached, by an anti-join or by the comparison that came before: an update that
//! changes nothing would lock the row all the same, and row locks are logged.

/// Declares the statements and the list of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)*
        /// Each of them, by its name.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

// Sent as they are, without parameters.

/// The server's version, and the parameter that tells whether the session is ours.
pub(super) const SESSION: &str = "SELECT current_setting('server_version_num'), current_setting('extra_float_digits')";
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; \
     SET LOCAL idle_in_transaction_session_timeout = 60000";
pub(super) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL jit = off; \
     SET LOCAL idle_in_transaction_session_timeout = 60000; SET LOCAL lock_timeout = 15000; \
     SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
/// To where none of them are.
pub(super) const CURVE_COPY: &str = "COPY load_curve (start, meter, watts, direction, kind) FROM STDIN (FORMAT binary)";
pub(super) const SCHEMA_LOCK: &str = "LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE";

statements! {
    NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

    // Whole tables.
    /// As the server last counted them; a table that it has not counted yet has none.
    ROWS_ABOUT =
        "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::int8 FROM pg_class c
         WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'load_curve'::regclass)";

    // The server, for `linkyd doctor`.
    EXAMINE =
        "SELECT current_setting('server_version'), coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
                pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,
                (SELECT bool_and(has_table_privilege(t, p))
                 FROM (VALUES ('load_curve', 'INSERT'), ('load_curve', 'UPDATE'), ('load_curve', 'DELETE'),
                     ('coverage', 'INSERT'), ('coverage', 'UPDATE'), ('coverage', 'DELETE'),
                     ('series', 'UPDATE'), ('call', 'INSERT'), ('call', 'UPDATE'), ('call', 'DELETE')) needed(t, p)),
                (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = 'load_curve'::regclass),
                (SELECT count(*) FROM (SELECT 1 FROM load_curve_rest LIMIT 1) r)";
    DAEMON_LIVES =
        "SELECT EXISTS (
             SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'linkyd run')";

    // The schema.
    /// The schema that comes first, whether ours is in the search path, and whether somebody else's
    /// table has the name of ours.
    SCHEMA_LOOK =
        "SELECT current_schema()::text, to_regclass('schema_version') IS NOT NULL AND to_regclass('load_curve_rest') IS NOT NULL,
                to_regclass('schema_version') IS NOT NULL AND to_regclass('load_curve_rest') IS NULL";
    SCHEMA_VERSION = "SELECT version FROM schema_version WHERE id = 1";
    SCHEMA_THERE = "SELECT to_regnamespace($1) IS NOT NULL";
    /// Whether partitions of these years are lacking, and may be made by this role.
    YEARS_LACKING =
        "SELECT EXISTS (SELECT 1 FROM generate_series($1::int4, $2) y WHERE to_regclass('load_curve_' || y) IS NULL)
            AND (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = 'load_curve'::regclass)";
    YEARS_MAKE = "SELECT load_curve_years($1, $2)";

    // Setting up.
    SOURCES_KNOWN =
        "SELECT s.name, s.kind, a.key, s.direct, s.credentials, s.configured
         FROM source s JOIN account a ON a.id = s.account";
    /// What a source counts by is called otherwise now. Unless others count by it too, it stays the same
    /// account: editing an identifier refills no budget.
    ACCOUNT_RENAME =
        "UPDATE account SET key = $2
         WHERE id = (SELECT s.account FROM source s WHERE s.name = $1 AND s.configured AND s.kind = $3)
           AND key <> $2 AND NOT EXISTS (SELECT 1 FROM account a WHERE a.key = $2)
           AND (SELECT count(*) FROM source s WHERE s.account = account.id AND s.configured) = 1";
    ACCOUNT_ADD =
        "INSERT INTO account (key) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM account WHERE key = $1)
         ON CONFLICT DO NOTHING";
    SOURCE_PUT =
        "INSERT INTO source (name, kind, account, configured, direct, credentials)
         SELECT $1, $2, a.id, true, $4, $5 FROM account a WHERE a.key = $3
         ON CONFLICT (name) DO UPDATE
         SET kind = excluded.kind, account = excluded.account, configured = true, direct = excluded.direct,
             credentials = excluded.credentials";
    /// A name that now stands for another kind: what the former one brought keeps its provenance.
    SOURCE_RETIRE =
        "UPDATE source SET name = name || ' (' || kind || ' ' || id || ')', configured = false
         WHERE name = $1 AND kind <> $2";
    SOURCES_LEAVE =
        "UPDATE source SET configured = false
         WHERE configured AND NOT EXISTS (SELECT 1 FROM unnest($1::text[]) w(name) WHERE w.name = source.name)";
    METERS_PUT =
        "INSERT INTO meter (prm, name, source, configured, position)
         SELECT w.prm, w.name, s.id, true, w.position
         FROM unnest($1::text[], $2::text[], $3::text[], $4::int4[]) w(prm, name, source, position)
         JOIN source s ON s.name = w.source LEFT JOIN meter m ON m.prm = w.prm
         WHERE m.id IS NULL OR m.name <> w.name OR m.source <> s.id OR NOT m.configured OR m.position <> w.position
         ORDER BY w.position
         ON CONFLICT (prm) DO UPDATE
         SET name = excluded.name, source = excluded.source, configured = true, position = excluded.position";
    METERS_LEAVE =
        "UPDATE meter SET configured = false
         WHERE configured AND NOT EXISTS (SELECT 1 FROM unnest($1::text[]) w(prm) WHERE w.prm = meter.prm)";
    METER_UNKNOWN =
        "SELECT w.prm FROM unnest($1::text[]) w(prm)
         WHERE NOT EXISTS (SELECT 1 FROM meter m WHERE m.prm = w.prm) LIMIT 1";
    /// Who was warned of another end was not warned of this one.
    CONSENTS_PUT =
        "INSERT INTO consent (meter, until, source, granted_at, learnt)
         SELECT m.id, w.until, w.source, w.granted_at, w.learnt
         FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::text[])
             w(prm, until, source, granted_at, learnt)
         JOIN meter m ON m.prm = w.prm LEFT JOIN consent c ON c.meter = m.id
         WHERE CASE WHEN c.meter IS NULL THEN w.until IS NOT NULL
             ELSE (c.until, c.source, c.granted_at, c.learnt) IS DISTINCT FROM (w.until, w.source, w.granted_at, w.learnt) END
         ORDER BY m.id
         ON CONFLICT (meter) DO UPDATE
         SET until = excluded.until, source = excluded.source, granted_at = excluded.granted_at,
             learnt = excluded.learnt,
             warned = CASE WHEN consent.until IS NOT DISTINCT FROM excluded.until THEN consent.warned END";
    CONSENTS_WARN =
        "UPDATE consent n
         SET warned = w.days
         FROM meter m, LATERAL (
             SELECT (CASE WHEN n2.until <= $1 THEN 0 WHEN n2.until - $1 < interval '1 day' THEN 1
                 WHEN n2.until - $1 < interval '7 days' THEN 7 ELSE 30 END)::int2 AS days
             FROM consent n2 WHERE n2.meter = m.id
         ) w
         WHERE m.id = n.meter AND m.configured AND n.until - $1 < interval '30 days' AND coalesce(n.warned, 99) > w.days
         RETURNING m.name, n.until";

    // Consents.
    AUTHORISATIONS =
        "SELECT a.prm, s.name, a.api, a.number, a.granted_at, a.until, a.learnt, a.ended, a.checked_at, a.covers
         FROM authorisation a JOIN source s ON s.id = a.source ORDER BY a.prm, a.source";
    /// A consent that is taken up late puts none away that was given since.
    AUTHORISATION_PUT =
        "INSERT INTO authorisation (prm, source, api, number, granted_at, until, learnt, ended, checked_at, covers)
         SELECT $1, s.id, $3, $4, $5, $6, $7, $8, $9, $10 FROM source s WHERE s.name = $2
         ON CONFLICT (source, prm) DO UPDATE
         SET api = excluded.api, number = coalesce(excluded.number, authorisation.number),
             granted_at = excluded.granted_at, until = excluded.until, learnt = excluded.learnt,
             ended = excluded.ended, checked_at = excluded.checked_at, covers = excluded.covers
         WHERE excluded.granted_at >= authorisation.granted_at";
    /// What a look found out is about the consent that was looked at, and no word about one that was given since.
    AUTHORISATION_SEEN =
        "UPDATE authorisation SET until = $4, learnt = $5, ended = $6, checked_at = $7, covers = $8
         WHERE prm = $1 AND source = (SELECT s.id FROM source s WHERE s.name = $2) AND granted_at = $3";
    /// Three years are the longest that a consent lasts.
    JOURNEYS_FORGET = "DELETE FROM journey WHERE begun_at < $1::timestamptz - interval '1098 days'";
    JOURNEY_PUT =
        "INSERT INTO journey (state, source, api, duration, begun_at)
         SELECT $1, s.id, $3, $4, $5 FROM source s WHERE s.name = $2
         ON CONFLICT DO NOTHING";
    JOURNEY_ANSWER =
        "UPDATE journey SET answered_at = $2, number = $3, done_at = $4 WHERE state = $1 AND answered_at IS NULL";
    JOURNEY_GET =
        "SELECT j.state, s.name, j.api, j.duration, j.begun_at, j.answered_at, j.number, j.done_at
         FROM journey j JOIN source s ON s.id = j.source WHERE j.state = $1";
    /// As long as the meter is not known: a number may have been cut off.
    JOURNEY_CORRECT = "UPDATE journey SET number = $2 WHERE state = $1 AND number IS NOT NULL AND done_at IS NULL";
    JOURNEY_FINISH = "UPDATE journey SET done_at = $2 WHERE state = $1 AND done_at IS NULL";
    JOURNEYS_UNFINISHED =
        "SELECT j.state, s.name, j.api, j.duration, j.begun_at, j.answered_at, j.number, j.done_at
         FROM journey j JOIN source s ON s.id = j.source
         WHERE j.number IS NOT NULL AND j.done_at IS NULL ORDER BY j.begun_at DESC, j.state";

    // More of setting up.
    SERIES_PUT =
        "INSERT INTO series (meter, dataset, source, configured, position, state)
         SELECT m.id, w.dataset, m.source, true, w.position, CASE WHEN w.dataset > 7 THEN 4 ELSE 0 END
         FROM unnest($1::text[], $2::int2[], $3::int4[]) w(prm, dataset, position)
         JOIN meter m ON m.prm = w.prm LEFT JOIN series s ON s.meter = m.id AND s.dataset = w.dataset
         WHERE s.meter IS NULL OR NOT s.configured OR s.position <> w.position
         ORDER BY m.id, w.dataset
         ON CONFLICT (meter, dataset) DO UPDATE SET configured = true, position = excluded.position";
    SERIES_LEAVE =
        "UPDATE series s SET configured = false
         WHERE s.configured AND NOT EXISTS (
             SELECT 1 FROM unnest($1::text[], $2::int2[]) w(prm, dataset) JOIN meter m ON m.prm = w.prm
             WHERE m.id = s.meter AND w.dataset = s.dataset)";
    /// How the series stand at the sources that serve them is kept, unless there is nothing to say.
    SERVE_PARK =
        "INSERT INTO elsewhere (meter, dataset, source, state, code, message, not_before)
         SELECT s.meter, s.dataset, s.source, s.state, s.code, s.message, s.not_before
         FROM unnest($1::int4[], $2::int2[], $3::int4[]) w(meter, dataset, source)
         JOIN series s ON s.meter = w.meter AND s.dataset = w.dataset AND s.source <> w.source
         WHERE s.state <> 0 OR s.not_before IS NOT NULL
         ON CONFLICT (meter, dataset, source) DO UPDATE
         SET state = excluded.state, code = excluded.code, message = excluded.message,
             not_before = excluded.not_before";
    SERVE_TAKE =
        "UPDATE series s
         SET source = w.source, state = coalesce(e.state, 0), code = e.code, message = e.message,
             not_before = e.not_before, seen = s.seen + 1
         FROM unnest($1::int4[], $2::int2[], $3::int4[]) w(meter, dataset, source)
         LEFT JOIN elsewhere e ON e.meter = w.meter AND e.dataset = w.dataset AND e.source = w.source
         WHERE s.meter = w.meter AND s.dataset = w.dataset";
    SERVE_TAKEN =
        "DELETE FROM elsewhere e USING unnest($1::int4[], $2::int2[], $3::int4[]) w(meter, dataset, source)
         WHERE e.meter = w.meter AND e.dataset = w.dataset AND e.source = w.source";

    // Off-peak hours.
    /// With whether it was read before, and not understood.
    OFFPEAK_NEW =
        "SELECT DISTINCT k.offpeak_hours COLLATE \"C\", EXISTS (SELECT 1 FROM offpeak o WHERE o.text = k.offpeak_hours)
         FROM contract k WHERE k.offpeak_hours IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM offpeak o WHERE o.text = k.offpeak_hours AND o.kind <> 0)
         ORDER BY 1";
    OFFPEAK_ADD =
        "INSERT INTO offpeak AS o (text, kind) VALUES ($1, $2)
         ON CONFLICT (text) DO UPDATE SET kind = excluded.kind WHERE o.kind = 0";
    OFFPEAK_SLOTS_ADD =
        "INSERT INTO offpeak_slot (text, season, from_minute, to_minute)
         SELECT $1, w.season, w.from_minute, w.to_minute
         FROM unnest($2::int2[], $3::int4[], $4::int4[]) w(season, from_minute, to_minute) ON CONFLICT DO NOTHING";

    // Calendar.
    CALENDAR_ENDS =
        "SELECT (SELECT min(day) FROM calendar), (SELECT max(day) FROM calendar),
                (SELECT min(start) FROM clock_hour), (SELECT max(start) FROM clock_hour)";
    CALENDAR_ADD =
        "INSERT INTO calendar (day, starts_at, minutes)
         SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::int4[]) ON CONFLICT DO NOTHING";
    HOURS_ADD = "INSERT INTO clock_hour (start) SELECT * FROM unnest($1::timestamptz[]) ON CONFLICT DO NOTHING";

    // Windows.
    /// Those of the windows that differ from what is remembered, by their place in the arrays.
    WINDOWS_NEW =
        "SELECT (w.place - 1)::int8
         FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[]) WITH ORDINALITY
              w(meter, dataset, first_day, end_day, place)
         JOIN series s ON s.meter = w.meter AND s.dataset = w.dataset
         WHERE s.first_day IS DISTINCT FROM w.first_day OR s.end_day IS DISTINCT FROM w.end_day
         ORDER BY s.meter, s.dataset";
    /// The same once more, and nobody else may touch their series until it is done; with the windows that
    /// were remembered.
    WINDOWS_LOCK =
        "SELECT (w.place - 1)::int8, s.first_day, s.end_day
         FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[]) WITH ORDINALITY
              w(meter, dataset, first_day, end_day, place)
         JOIN series s ON s.meter = w.meter AND s.dataset = w.dataset
         WHERE s.first_day IS DISTINCT FROM w.first_day OR s.end_day IS DISTINCT FROM w.end_day
         ORDER BY s.meter, s.dataset FOR NO KEY UPDATE OF s";
    WINDOWS_SET =
        "UPDATE series s SET first_day = w.first_day, end_day = w.end_day
         FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[]) w(meter, dataset, first_day, end_day)
         WHERE s.meter = w.meter AND s.dataset = w.dataset";
    /// Served, but before the activation or before `since`: never wanted.
    WINDOWS_FORGET =
        "DELETE FROM coverage v USING unnest($1::int4[], $2::int2[], $3::date[]) w(meter, dataset, first_day)
         WHERE v.meter = w.meter AND v.dataset = w.dataset AND v.day < w.first_day
           AND v.state <> 0 AND v.stored = 0";
    WINDOWS_EXPIRE =
        "UPDATE coverage v SET state = 5, next_try = NULL
         FROM unnest($1::int4[], $2::int2[], $3::date[]) w(meter, dataset, first_day)
         WHERE v.meter = w.meter AND v.dataset = w.dataset AND v.day < w.first_day
           AND v.state <> 0 AND v.state IN (1, 2, 3)";
    WINDOWS_REOPEN =
        "UPDATE coverage v SET state = 1
         FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[]) w(meter, dataset, first_day, end_day)
         WHERE v.meter = w.meter AND v.dataset = w.dataset AND v.day >= w.first_day AND v.day < w.end_day
           AND v.state <> 0 AND v.state = 5";
    /// Days that a window has gained; all others of it have a record. A conflict that nothing follows from locks
    /// no row, while an anti-join would have the whole table read for each lot of a new fleet: its plan is
    /// from when the table was empty.
    WINDOWS_FILL =
        "INSERT INTO coverage (meter, dataset, day, state)
         SELECT w.meter, w.dataset, c.day, 1
         FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[]) w(meter, dataset, first_day, end_day)
         CROSS JOIN LATERAL (
             SELECT d::date AS day FROM generate_series(w.first_day::timestamp, w.end_day::timestamp - interval '1 day',
                                                        interval '1 day') d
         ) c
         ON CONFLICT DO NOTHING";
    /// Series of whose gained days something is known already, told to all who have read them before.
    WINDOWS_KNOWN =
        "UPDATE series s SET seen = s.seen + 1
         FROM (
             SELECT DISTINCT w.meter, w.dataset
             FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[]) w(meter, dataset, first_day, end_day)
             WHERE EXISTS (
                 SELECT 1 FROM coverage v
                 WHERE v.meter = w.meter AND v.dataset = w.dataset AND v.day >= w.first_day AND v.day < w.end_day
                   AND (v.state <> 1 OR v.checked_at IS NOT NULL))
         ) k
         WHERE s.meter = k.meter AND s.dataset = k.dataset RETURNING s.meter, s.dataset";
    PASS_SET =
        "INSERT INTO last_pass AS p (id, at, end_day) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, end_day = coalesce(excluded.end_day, p.end_day)";
    PASS_IS =
        "SELECT EXISTS (SELECT 1 FROM last_pass WHERE id = 1 AND at = $1 AND end_day IS NOT DISTINCT FROM coalesce($2, end_day))";

    // An answer.
    /// What an answer meets, and nobody else may store anything of its series until it is done: whether its
    /// line of the journal is there and complete, whether the series has a row, who holds it, and the numbers of
    /// what the source's intervals have in common.
    ANSWER_MEETS =
        "WITH s AS (SELECT held_by FROM series WHERE meter = $1 AND dataset = $2 FOR NO KEY UPDATE)
         SELECT EXISTS (SELECT 1 FROM call WHERE id = $4),
                EXISTS (SELECT 1 FROM call WHERE id = $4 AND outcome IS NOT NULL),
                EXISTS (SELECT 1 FROM s), (SELECT held_by FROM s),
                (SELECT array_agg(minutes ORDER BY id) FROM interval_kind WHERE source = $3),
                (SELECT array_agg(summer ORDER BY id) FROM interval_kind WHERE source = $3),
                (SELECT array_agg(id ORDER BY id) FROM interval_kind WHERE source = $3)";
    COVERAGE_OF =
        "SELECT day, state, stored, expected, checked_at, first_left_out, next_try, certain, last_try
         FROM coverage WHERE meter = $1 AND dataset = $2 AND day >= $3 AND day < $4 ORDER BY day";
    CURVE_HELD =
        "SELECT l.start, k.minutes, l.watts, k.source FROM load_curve l JOIN interval_kind k ON k.id = l.kind
         WHERE l.meter = $1 AND l.direction = $2 AND l.start > $3 AND l.start < $4 ORDER BY l.start";
    /// Nobody else's number is ever taken: where two begin at once, the second waits and looks again.
    KIND_ADD =
        "INSERT INTO interval_kind (id, minutes, summer, source)
         SELECT coalesce(max(id) + 1, 0), $1, $2, $3 FROM interval_kind ON CONFLICT DO NOTHING";
    KIND_OF = "SELECT id FROM interval_kind WHERE minutes = $1 AND summer = $2 AND source = $3";
    CURVE_PUT =
        "INSERT INTO load_curve (meter, direction, start, watts, kind)
         SELECT $1, $2, w.start, w.watts, w.kind
         FROM unnest($3::timestamptz[], $4::int4[], $5::int2[]) w(start, watts, kind)
         ON CONFLICT (meter, direction, start) DO UPDATE SET watts = excluded.watts, kind = excluded.kind";
    CURVE_REMOVE = "DELETE FROM load_curve WHERE meter = $1 AND direction = $2 AND start = ANY ($3::timestamptz[])";
    ENERGY_HELD =
        "SELECT day, wh, source FROM daily_energy
         WHERE meter = $1 AND direction = $2 AND day >= $3 AND day < $4 ORDER BY day";
    ENERGY_PUT =
        "INSERT INTO daily_energy (meter, direction, source, day, wh)
         SELECT $1, $2, $3, w.day, w.wh FROM unnest($4::date[], $5::int8[]) w(day, wh)
         ON CONFLICT (meter, direction, day) DO UPDATE SET wh = excluded.wh, source = excluded.source";
    PEAKS_HELD =
        "SELECT day, va, local_seconds, at, source FROM max_power
         WHERE meter = $1 AND day >= $2 AND day < $3 ORDER BY day";
    PEAKS_PUT =
        "INSERT INTO max_power (meter, source, day, va, local_seconds, at)
         SELECT $1, $2, w.day, w.va, w.local_seconds, w.at
         FROM unnest($3::date[], $4::int8[], $5::int4[], $6::timestamptz[]) w(day, va, local_seconds, at)
         ON CONFLICT (meter, day) DO UPDATE
         SET va = excluded.va, local_seconds = excluded.local_seconds, at = excluded.at, source = excluded.source";
    RAW_ADD =
        "INSERT INTO raw_answer (call, meter, dataset, source, start_day, end_day, asked_at, api, starts, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    /// Of what cannot be read the newest answer about the same days is enough.
    RAW_UNREAD_BEFORE =
        "DELETE FROM raw_answer k USING call c
         WHERE c.id = k.call AND c.outcome = 0
            AND k.meter = $1 AND k.dataset = $2 AND k.source = $3 AND k.start_day = $4 AND k.end_day = $5";
    /// By the machine's clock, whatever `--at` said. Lines of the journal ascend, so only those that go are
    /// passed over.
    RAW_PRUNE =
        "DELETE FROM raw_answer WHERE call < (
            SELECT c.id FROM call c
            WHERE c.id >= (SELECT min(k.call) FROM raw_answer k)
                AND c.at_ms >= (SELECT n.at_ms FROM call n ORDER BY n.id DESC LIMIT 1) - 86400000 * $1::int8
            ORDER BY c.id LIMIT 1)";
    RAW_SERIES = "SELECT DISTINCT meter, dataset FROM raw_answer ORDER BY meter, dataset";
    RAW_NOT_KEPT =
        "SELECT c.id, s.direct, c.start_day, c.end_day FROM call c JOIN source s ON s.id = c.source
         WHERE c.meter = $1 AND c.dataset = $2 AND c.outcome = 1 AND c.row_count > 0
            AND c.start_day IS NOT NULL AND c.end_day IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM raw_answer k WHERE k.call = c.id)";
    RAW_KEPT =
        "SELECT k.call, m.prm, m.name, k.source, s.direct, k.start_day, k.end_day, k.asked_at,
            coalesce(c.outcome, 1) = 1, k.api, k.starts, k.body
         FROM raw_answer k JOIN meter m ON m.id = k.meter JOIN source s ON s.id = k.source
         LEFT JOIN call c ON c.id = k.call
         WHERE k.meter = $1 AND k.dataset = $2 ORDER BY k.call";
    SERIES_TOLD = "UPDATE series SET seen = seen + 1 WHERE meter = $1 AND dataset = $2";
    REGISTERS_HELD =
        "SELECT read_at, calendar, register, tariff_class, daily, wh, source FROM register_reading
         WHERE meter = $1 AND direction = $2 AND read_at >= $3 AND read_at <= $4
         ORDER BY read_at, calendar, register, tariff_class";
    REGISTERS_PUT =
        "INSERT INTO register_reading (meter, direction, source, read_at, calendar, register, tariff_class, daily, wh)
         SELECT $1, $2, $3, w.read_at, w.calendar, w.register, w.tariff_class, w.daily, w.wh
         FROM unnest($4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::int8[])
              w(read_at, calendar, register, tariff_class, daily, wh)
         ON CONFLICT (meter, direction, read_at, calendar, register, tariff_class) DO UPDATE
         SET daily = excluded.daily, wh = excluded.wh, source = excluded.source";
    COUNTED_HELD =
        "SELECT day, calendar, tariff_class, wh FROM daily_by_class
         WHERE meter = $1 AND direction = $2 AND day >= $3 AND day < $4";
    COUNTED_PUT =
        "INSERT INTO daily_by_class (meter, direction, day, calendar, tariff_class, wh)
         SELECT $1, $2, w.day, w.calendar, w.tariff_class, w.wh
         FROM unnest($3::date[], $4::text[], $5::text[], $6::int8[]) w(day, calendar, tariff_class, wh)
         ON CONFLICT (meter, direction, day, calendar, tariff_class) DO UPDATE SET wh = excluded.wh";
    COUNTED_REMOVE =
        "DELETE FROM daily_by_class b USING unnest($3::date[], $4::text[], $5::text[]) w(day, calendar, tariff_class)
         WHERE b.meter = $1 AND b.direction = $2 AND b.day = w.day AND b.calendar = w.calendar
           AND b.tariff_class = w.tariff_class";
    /// Values that are wrong, unless others stand there meanwhile.
    CURVE_SPOILT = "DELETE FROM load_curve WHERE meter = $1 AND direction = $2 AND start = $3 AND watts = $4";
    ENERGY_SPOILT = "DELETE FROM daily_energy WHERE meter = $1 AND direction = $2 AND day = $3 AND wh = $4";
    PEAK_SPOILT = "DELETE FROM max_power WHERE meter = $1 AND day = $2 AND va = $3";
    REGISTER_SPOILT =
        "DELETE FROM register_reading WHERE meter = $1 AND direction = $2 AND read_at = $3 AND wh = $4
            AND calendar = $5 AND register = $6 AND tariff_class = $7";
    DIRECT_SOURCES = "SELECT id FROM source WHERE direct";
    /// Which of the disputed values have a revision already, by their place.
    REVISIONS_KNOWN =
        "SELECT (w.place - 1)::int8
         FROM unnest($3::timestamptz[], $4::int8[], $5::int8[], $6::int4[]) WITH ORDINALITY
              w(start, old_value, new_value, old_source, place)
         WHERE EXISTS (
             SELECT 1 FROM revision r
             WHERE r.meter = $1 AND r.dataset = $2 AND r.start = w.start AND r.old_value = w.old_value
               AND r.new_value = w.new_value AND r.old_source = w.old_source)";
    REVISIONS_ADD =
        "INSERT INTO revision (meter, dataset, seen_at, start, minutes, old_value, new_value, old_local_seconds, old_source,
                               register)
         SELECT $1, $2, $3, w.start, w.minutes, w.old_value, w.new_value, w.old_local_seconds, w.old_source, w.register
         FROM unnest($4::timestamptz[], $5::int4[], $6::int8[], $7::int8[], $8::int4[], $9::int4[], $10::text[])
              WITH ORDINALITY
              w(start, minutes, old_value, new_value, old_local_seconds, old_source, register, place)
         ORDER BY w.place";
    COVERAGE_PUT =
        "INSERT INTO coverage (meter, dataset, day, state, stored, expected, checked_at, first_left_out, next_try,
                               certain, last_try)
         SELECT $1, $2, w.day, w.state, w.stored, w.expected, w.checked_at, w.first_left_out, w.next_try, w.certain,
                w.last_try
         FROM unnest($3::date[], $4::int2[], $5::int4[], $6::int4[], $7::timestamptz[], $8::int8[], $9::timestamptz[],
                     $10::boolean[], $11::boolean[])
              w(day, state, stored, expected, checked_at, first_left_out, next_try, certain, last_try)
         ON CONFLICT (meter, dataset, day) DO UPDATE
         SET state = excluded.state, stored = excluded.stored, expected = excluded.expected,
             checked_at = excluded.checked_at, first_left_out = excluded.first_left_out,
             next_try = excluded.next_try, certain = excluded.certain, last_try = excluded.last_try";
    /// No configuration names it, as an import may bring it.
    SERIES_ADD =
        "INSERT INTO series (meter, dataset, source, configured, position) VALUES ($1, $2, $3, false, 0)
         ON CONFLICT DO NOTHING";
    /// The series and the line of the journal. The step of a series is that of its newest interval: it
    /// stays where the answer has none, and where an interval is stored that starts later than the answer's
    /// newest. The lease is given back, unless other calls need it.
    ANSWERED =
        "WITH line AS (
             UPDATE call SET outcome = 1, status = $8, code = $9, row_count = $10, duration_ms = $11 WHERE id = $7
         )
         UPDATE series SET state = 0, code = NULL, message = NULL, not_before = NULL,
             last_success_at = greatest(last_success_at, $3),
             step = CASE
                 WHEN $5::timestamptz IS NULL OR EXISTS (
                     SELECT 1 FROM load_curve l
                     WHERE l.meter = $1 AND l.direction = $4 AND l.start > $5
                 ) THEN step
                 ELSE $6
             END,
             held_by = CASE WHEN $12 THEN held_by END, held_until_ms = CASE WHEN $12 THEN held_until_ms END,
             seen = seen + 1
         WHERE meter = $1 AND dataset = $2 RETURNING seen";
    SERIES_SEEN = "SELECT seen FROM series WHERE meter = $1 AND dataset = $2";

    // What was learnt. What leaves a series as it is does not count as a change.
    /// In one order, whoever writes them.
    SERIES_LOCK =
        "SELECT 1 FROM (
             SELECT * FROM unnest($1::int4[], $2::int2[])
             UNION SELECT a.meter, d.id FROM unnest($3::int4[], $4::int2[]) a(meter, direction)
                 JOIN dataset d ON d.direction = a.direction AND d.id < 8
             UNION SELECT k.meter, k.dataset FROM call k WHERE k.id = $5
         ) w(meter, dataset)
         JOIN series s ON s.meter = w.meter AND s.dataset = w.dataset
         ORDER BY s.meter, s.dataset FOR NO KEY UPDATE OF s";
    SERIES_STATES =
        "UPDATE series s
         SET state = w.state, code = w.code, message = w.message, not_before = w.not_before, seen = s.seen + 1
         FROM unnest($1::int4[], $2::int2[], $3::int2[], $4::text[], $5::text[], $6::int8[], $7::int8[])
              w(meter, dataset, state, code, message, not_before, seen)
         WHERE s.meter = w.meter AND s.dataset = w.dataset AND (w.seen IS NULL OR s.seen = w.seen)
             AND (s.state, s.code, s.message, s.not_before) IS DISTINCT FROM (w.state, w.code, w.message, w.not_before)";
    /// With the news of it for the series that it concerns: only a refusal, or the end of one, says anything about
    /// days that are wanted. How far back calls were accepted is news with each older one of a backfill, and
    /// several instances may find it out side by side.
    ACTIVATIONS_PUT =
        "WITH told AS (
             SELECT * FROM unnest($1::int4[], $2::int2[], $3::date[], $4::date[], $5::int4[])
                 w(meter, direction, refused, accepted, refusals)
         ),
         put AS (
             INSERT INTO activation AS a (meter, direction, refused, accepted, refusals)
             SELECT meter, direction, refused, accepted, refusals FROM told
             ON CONFLICT (meter, direction) DO UPDATE
             SET refused = excluded.refused, refusals = excluded.refusals,
                 accepted = CASE WHEN (a.refused, a.refusals) IS NOT DISTINCT FROM (excluded.refused, excluded.refusals)
                     THEN least(a.accepted, excluded.accepted) ELSE excluded.accepted END
             WHERE (a.refused, a.accepted, a.refusals)
                 IS DISTINCT FROM (excluded.refused, excluded.accepted, excluded.refusals)
             RETURNING meter, direction, refused
         )
         UPDATE series s SET seen = s.seen + 1
         FROM put p LEFT JOIN activation b ON b.meter = p.meter AND b.direction = p.direction
         JOIN dataset d ON d.direction = p.direction AND d.id < 8
         WHERE s.meter = p.meter AND d.id = s.dataset AND (p.refused IS NOT NULL OR b.refused IS NOT NULL)";
    /// As `Activation::accepting` has it, of what is stored by now.
    ACCEPTED_PUT =
        "WITH put AS (
             INSERT INTO activation AS a (meter, direction, accepted, refusals)
             SELECT w.meter, w.direction, w.accepted, 0
             FROM unnest($1::int4[], $2::int2[], $3::date[]) w(meter, direction, accepted)
             ON CONFLICT (meter, direction) DO UPDATE
             SET refused = CASE WHEN a.refused < excluded.accepted THEN a.refused END,
                 refusals = CASE WHEN a.refused >= excluded.accepted THEN 0 ELSE a.refusals END,
                 accepted = least(a.accepted, excluded.accepted)
             WHERE a.accepted IS NULL OR excluded.accepted < a.accepted OR a.refused >= excluded.accepted
             RETURNING meter, direction, refused
         )
         UPDATE series s SET seen = s.seen + 1
         FROM put p LEFT JOIN activation b ON b.meter = p.meter AND b.direction = p.direction
         JOIN dataset d ON d.direction = p.direction AND d.id < 8
         WHERE s.meter = p.meter AND d.id = s.dataset AND (p.refused IS NOT NULL OR b.refused IS NOT NULL)";
    /// The counters of some series.
    SERIES_COUNTERS =
        "SELECT s.meter, s.dataset, s.seen FROM unnest($1::int4[], $2::int2[]) w(meter, dataset)
         JOIN series s ON s.meter = w.meter AND s.dataset = w.dataset";
    LEARNT_PUT =
        "INSERT INTO learnt (source, dataset, max_days, max_days_until, history_short, api, api_since, not_before)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (source, dataset) DO UPDATE
         SET max_days = excluded.max_days, max_days_until = excluded.max_days_until,
             history_short = excluded.history_short, api = excluded.api, api_since = excluded.api_since,
             not_before = excluded.not_before";
    SOURCE_STATE =
        "UPDATE account SET not_before_ms = $1, code = $2, message = $3, slow_until_ms = $4, refusals = $5, strikes = $6
         WHERE id = (SELECT account FROM source WHERE id = $7)";
    TOLD_PUT =
        "INSERT INTO told AS t (account, pool, calls_left, at_ms, until_ms)
         SELECT s.account, $1, $2, $3, $4 FROM source s WHERE s.id = $5
         ON CONFLICT (account, pool) DO UPDATE
         SET calls_left = excluded.calls_left, at_ms = excluded.at_ms, until_ms = excluded.until_ms
         WHERE excluded.at_ms >= t.at_ms OR t.until_ms <= excluded.at_ms";
    RESTING =
        "SELECT a.id, a.not_before_ms, a.code, a.message, a.refusals, a.strikes
         FROM source s JOIN account a ON a.id = s.account WHERE s.name = $1";
    /// Series that fail for nothing but the rest of their source are well again with it.
    RESUME_SERIES =
        "UPDATE series SET state = 4, code = NULL, message = NULL, not_before = NULL, seen = seen + 1
         WHERE state = 3 AND code = $2 AND source IN (SELECT id FROM source WHERE account = $1)";
    RESUME =
        "UPDATE account SET not_before_ms = NULL, code = NULL, message = NULL, refusals = 0, strikes = 0 WHERE id = $1";

    // The journal.
    SOURCE_ACCOUNT_BY_NAME = "SELECT account FROM source WHERE name = $1";
    /// Whoever decides on the lines of an account holds its row, so nobody else does meanwhile.
    ACCOUNT_LOCK =
        "SELECT a.id, a.not_before_ms FROM account a
         WHERE a.id = (SELECT s.account FROM source s WHERE s.id = $1) FOR NO KEY UPDATE";
    /// The server's time; when the latest call of an account started, and the one that is so many back
    /// behind it; when those of one pool did that are so many back (the hour, the day, the day less what is
    /// kept); and what the source said last about that pool: calls left, until when.
    USAGE =
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8,
            (SELECT k.at_ms FROM call k WHERE k.account = $1 ORDER BY k.at_ms DESC LIMIT 1),
            (SELECT k.at_ms FROM call k WHERE k.account = $1 ORDER BY k.at_ms DESC LIMIT 1 OFFSET $3),
            (SELECT k.at_ms FROM call k WHERE k.account = $1 AND k.pool = $2 AND $4::int8 IS NOT NULL
             ORDER BY k.at_ms DESC LIMIT 1 OFFSET $4),
            (SELECT k.at_ms FROM call k WHERE k.account = $1 AND k.pool = $2 AND $5::int8 IS NOT NULL
             ORDER BY k.at_ms DESC LIMIT 1 OFFSET $5),
            (SELECT k.at_ms FROM call k WHERE k.account = $1 AND k.pool = $2 AND $6::int8 IS NOT NULL
             ORDER BY k.at_ms DESC LIMIT 1 OFFSET $6),
            t.calls_left - (SELECT count(*) FROM call k WHERE k.account = $1 AND k.pool = $2 AND k.at_ms > t.at_ms),
            t.until_ms
         FROM (SELECT 1) one LEFT JOIN told t ON t.account = $1 AND t.pool = $2";
    /// Who holds a series and until when, and how often it changed; nobody else may touch it until this is
    /// done. No row where somebody just does.
    SERIES_TAKE =
        "SELECT held_by, held_until_ms, seen FROM series WHERE meter = $1 AND dataset = $2
         FOR NO KEY UPDATE SKIP LOCKED";
    CALL_ADD =
        "INSERT INTO call (account, at_ms, asked_at, source, pool, api, meter, dataset, start_day, end_day)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
    SERIES_HOLD = "UPDATE series SET held_by = $3, held_until_ms = $4 WHERE meter = $1 AND dataset = $2";
    /// The server's time, where the line is there. A server that crashed or failed over may have given the
    /// number to another call since.
    CALL_MADE = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8 FROM call WHERE id = $1 AND at_ms = $2";
    CALL_TAKE_BACK = "DELETE FROM call WHERE id = $1 AND outcome IS NULL";
    SERIES_LET_GO =
        "UPDATE series SET held_by = NULL, held_until_ms = NULL WHERE meter = $1 AND dataset = $2 AND held_by = $3";
    CALL_LOCK = "SELECT 1 FROM call WHERE id = $1 FOR NO KEY UPDATE";
    /// The series of a line, and nobody else may touch it until this is done.
    CALL_MEETS =
        "WITH s AS (
             SELECT s.held_by FROM call k JOIN series s ON s.meter = k.meter AND s.dataset = k.dataset
             WHERE k.id = $1 FOR NO KEY UPDATE OF s
         )
         SELECT k.outcome IS NOT NULL, k.meter, k.dataset, (SELECT held_by FROM s) FROM call k WHERE k.id = $1";
    CALL_END = "UPDATE call SET outcome = $2, status = $3, code = $4, duration_ms = $5 WHERE id = $1";
    SERIES_RELEASE =
        "UPDATE series SET held_by = CASE WHEN $3 THEN held_by END,
             held_until_ms = CASE WHEN $3 THEN held_until_ms END, seen = seen + 1
         WHERE meter = $1 AND dataset = $2 RETURNING seen";
    SPENT =
        "SELECT
            (SELECT count(*) FROM call WHERE account = $1 AND pool = $3 AND at_ms > $2 - 3600000),
            (SELECT count(*) FROM call WHERE account = $1 AND pool = $3 AND at_ms > $2 - 86400000),
            (SELECT greatest(0, t.calls_left - (
                 SELECT count(*) FROM call WHERE account = $1 AND pool = $3 AND at_ms > t.at_ms
             )) FROM told t WHERE t.account = $1 AND t.pool = $3 AND t.until_ms > $2)";
    REFUSED_TOKENS =
        "SELECT count(*) FROM call
         WHERE account = (SELECT account FROM source WHERE id = $1) AND at_ms >= $2
           AND outcome = 0
           AND ((dataset IS NULL AND api IS NULL) OR status = 401 OR code = ANY ($3::text[]))";
    /// The last line after that one behind which only lines are that may still change: by the instant of the line that
    /// was written last, since a clock that jumped ahead leaves lines of a time that is yet to come.
    TALLY_SETTLED =
        "SELECT coalesce(min(k.id) FILTER (WHERE abs(k.at_ms - n.newest) < $2) - 1, $1)
         FROM (SELECT (SELECT at_ms FROM call WHERE id > $1 ORDER BY id DESC LIMIT 1) AS newest) n
         LEFT JOIN call k ON k.id > $1";
    /// The durations are those of `DURATIONS_MS`.
    TALLY =
        "SELECT s.name, k.api, k.dataset, k.outcome, k.status, k.code, count(*), coalesce(sum(k.duration_ms), 0)::int8,
            count(*) FILTER (WHERE k.duration_ms <= 100), count(*) FILTER (WHERE k.duration_ms <= 250),
            count(*) FILTER (WHERE k.duration_ms <= 500), count(*) FILTER (WHERE k.duration_ms <= 1000),
            count(*) FILTER (WHERE k.duration_ms <= 2500), count(*) FILTER (WHERE k.duration_ms <= 5000),
            count(*) FILTER (WHERE k.duration_ms <= 10000), k.id > $2
         FROM call k JOIN source s ON s.id = k.source
         WHERE k.id > $1 AND k.outcome IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, k.id > $2";

    // What the planner needs; of some series alone where arrays of them are given.
    FACTS_SERIES =
        "SELECT s.meter, m.prm, m.name, s.dataset, s.source, s.state, s.code, s.not_before, s.last_success_at, s.seen,
                s.first_day, s.end_day
         FROM series s JOIN meter m ON m.id = s.meter
         WHERE s.configured AND s.dataset < 8
           AND ($1::int4[] IS NULL OR (s.meter, s.dataset) IN (SELECT * FROM unnest($1, $2::int2[])))
         ORDER BY m.position, m.id, s.position, s.dataset";
    /// Every day of a window has a record: those of it that are not here are complete. In the order of the
    /// index that lists them, so that nothing has to be sorted, however many there are.
    FACTS_DAYS =
        "SELECT v.meter, v.dataset, v.day, v.state, v.stored, v.expected, v.checked_at, v.first_left_out,
                v.next_try, v.certain, v.last_try
         FROM coverage v WHERE v.state <> 0 ORDER BY v.meter, v.dataset, v.day";
    FACTS_DAYS_OF =
        "SELECT v.meter, v.dataset, v.day, v.state, v.stored, v.expected, v.checked_at, v.first_left_out,
                v.next_try, v.certain, v.last_try
         FROM unnest($1::int4[], $2::int2[]) w(meter, dataset)
         JOIN coverage v ON v.meter = w.meter AND v.dataset = w.dataset AND v.state <> 0
         ORDER BY v.meter, v.dataset, v.day";
    /// The earliest instant of each day: by it the call reached least far back.
    OLDEST_ANSWERED =
        "SELECT min(asked_at), min(start_day) FROM call
         WHERE source = $1 AND dataset = $2 AND outcome = 1 GROUP BY asked_at / 86400";
    FACTS_SOURCES =
        "SELECT s.id, s.name, s.kind, a.not_before_ms, a.code, a.message, a.slow_until_ms, a.refusals, a.strikes
         FROM source s JOIN account a ON a.id = s.account WHERE s.configured ORDER BY s.id";
    FACTS_ELSEWHERE =
        "SELECT meter, dataset, source, state, code, not_before FROM elsewhere
         WHERE $1::int4[] IS NULL OR meter = ANY ($1)";
    FACTS_LEARNT =
        "SELECT source, dataset, max_days, max_days_until, history_short, api, api_since, not_before FROM learnt";
    FACTS_ACTIVATIONS =
        "SELECT meter, direction, refused, accepted, refusals FROM activation
         WHERE $1::int4[] IS NULL OR meter = ANY ($1)";
    FACTS_FAILED =
        "SELECT k.meter, k.dataset, k.source, k.start_day, k.end_day, k.asked_at, coalesce(k.code, ''),
                EXISTS (
                    SELECT 1 FROM call n
                    WHERE n.id > k.id AND n.meter = k.meter AND n.dataset = k.dataset AND n.source = k.source
                      AND n.outcome = 1
                )
         FROM call k
         WHERE k.outcome = 0 AND k.asked_at >= $1 AND k.start_day IS NOT NULL
           AND ($2::int4[] IS NULL OR (k.meter, k.dataset) IN (SELECT * FROM unnest($2, $3::int2[])))
         ORDER BY k.asked_at, k.id";

    // Customers. Their datasets have the numbers from 8 on, and no days.
    CUSTOMERS =
        "SELECT s.meter, m.prm, m.name, s.dataset, s.source, s.state, s.code, s.message, s.not_before,
            s.last_success_at, s.seen
         FROM series s JOIN meter m ON m.id = s.meter
         WHERE s.configured AND s.dataset > 7 AND ($1::int4[] IS NULL OR s.meter = ANY ($1))
         ORDER BY m.position, m.id, s.position, s.dataset";
    CUSTOMER_STATUS =
        "SELECT m.prm, m.name, o.name, s.dataset, s.state, s.code, s.message, s.last_success_at, s.not_before
         FROM series s JOIN meter m ON m.id = s.meter JOIN source o ON o.id = s.source
         WHERE s.configured AND s.dataset > 7 ORDER BY m.position, m.id, s.position, s.dataset";
    /// Who holds it and what is known of it; nobody else may touch it until this is done.
    CUSTOMER_MEETS =
        "SELECT held_by, seen, state, code FROM series WHERE meter = $1 AND dataset = $2 FOR NO KEY UPDATE";
    /// Who took no lease does not end another's.
    CUSTOMER_STATE =
        "UPDATE series SET source = $1, state = $2, code = $3, message = $4, not_before = $5,
             last_success_at = coalesce($6::timestamptz, last_success_at), seen = seen + 1,
             held_by = CASE WHEN NOT $9 THEN held_by END,
             held_until_ms = CASE WHEN NOT $9 THEN held_until_ms END
         WHERE meter = $7 AND dataset = $8 RETURNING seen";
    FLOORS =
        "SELECT DISTINCT ON (meter, direction) meter, direction, activated_on FROM contract
         WHERE activated_on IS NOT NULL AND ($1::int4[] IS NULL OR meter = ANY ($1))
         ORDER BY meter, direction, valid_from DESC";
    /// As in `v_load_curve`: what gives no interval a class.
    HOURS_UNCLEAR =
        "SELECT m.name, k.valid_from, k.offpeak_hours FROM meter m
         JOIN contract k ON k.meter = m.id AND k.direction = 0
         JOIN offpeak o ON o.text = k.offpeak_hours
         WHERE m.configured AND ($1::int4 IS NULL OR m.id = $1)
           AND k.valid_from = (SELECT max(n.valid_from) FROM contract n WHERE n.meter = m.id AND n.direction = 0)
           AND (o.kind = 0 OR (o.kind = 1 AND k.distribution_tariff NOT LIKE 'BTINF%ST'))
         ORDER BY m.position, m.id";
    CLOSED_BY_NAME =
        "SELECT s.name, c.path, c.code FROM closed_call c JOIN source s ON s.id = c.source ORDER BY s.name, c.path";
    CLOSED_CALLS = "SELECT source, path, code, not_before FROM closed_call";
    CLOSED_PUT =
        "INSERT INTO closed_call (source, path, code, not_before) VALUES ($1, $2, $3, $4)
         ON CONFLICT (source, path) DO UPDATE SET code = excluded.code, not_before = excluded.not_before";
    CLOSED_OVER = "DELETE FROM closed_call WHERE source = $1 AND path = $2";
    CONTRACT_NEWEST =
        "SELECT valid_from, segment, subscribed_va, distribution_tariff, offpeak_hours, activated_on, starts_on, kind,
                status, tariff_label, meter_type, level
         FROM contract WHERE meter = $1 AND direction = $2 ORDER BY valid_from DESC LIMIT 1";
    CONTRACT_PUT =
        "INSERT INTO contract (meter, direction, valid_from, segment, subscribed_va, distribution_tariff, offpeak_hours,
             activated_on, starts_on, kind, status, tariff_label, meter_type, level, learnt_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (meter, direction, valid_from) DO UPDATE
         SET segment = excluded.segment, subscribed_va = excluded.subscribed_va,
             distribution_tariff = excluded.distribution_tariff, offpeak_hours = excluded.offpeak_hours,
             activated_on = excluded.activated_on, starts_on = excluded.starts_on, kind = excluded.kind,
             status = excluded.status, tariff_label = excluded.tariff_label, meter_type = excluded.meter_type,
             level = excluded.level, learnt_at = excluded.learnt_at";
    ADDRESS_PUT =
        "INSERT INTO personal_address (meter, learnt_at, details, street, locality, postal_code, city, insee_code,
             country, latitude, longitude, altitude)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (meter) DO UPDATE
         SET learnt_at = excluded.learnt_at, details = excluded.details, street = excluded.street,
             locality = excluded.locality, postal_code = excluded.postal_code, city = excluded.city,
             insee_code = excluded.insee_code, country = excluded.country, latitude = excluded.latitude,
             longitude = excluded.longitude, altitude = excluded.altitude";
    IDENTITY_PUT =
        "INSERT INTO personal_identity (meter, learnt_at, title, first_name, last_name, organisation, trading_name,
             business, siret, siren)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (meter) DO UPDATE
         SET learnt_at = excluded.learnt_at, title = excluded.title, first_name = excluded.first_name,
             last_name = excluded.last_name, organisation = excluded.organisation,
             trading_name = excluded.trading_name, business = excluded.business, siret = excluded.siret,
             siren = excluded.siren";
    CONTACT_PUT =
        "INSERT INTO personal_contact (meter, learnt_at, phone, landline, email) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (meter) DO UPDATE
         SET learnt_at = excluded.learnt_at, phone = excluded.phone, landline = excluded.landline,
             email = excluded.email";

    // Forgetting.
    METERS_KNOWN = "SELECT id, prm, name FROM meter ORDER BY position, id";
    TABLES_OF_METERS =
        "SELECT c.relname::text, a.attname::text
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition AND a.attname IN ('meter', 'prm') AND c.relname NOT IN ('call', 'meter')
         ORDER BY 1";
    TABLES_SWEPT =
        "SELECT current_schema()::text, c.relname::text, pg_has_role(c.relowner, 'USAGE')
         FROM pg_class c
         WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition AND (c.relname IN ('meter', 'journey', 'account') OR EXISTS (
               SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attname IN ('meter', 'prm')))
         ORDER BY 2";
    /// An authorisation's number stands for its meter.
    JOURNEYS_UNNAME =
        "DELETE FROM journey WHERE EXISTS (SELECT 1 FROM authorisation a
         WHERE a.source = journey.source AND a.number = journey.number AND a.prm = $1)";
    /// What a source once said beside a refusal may have been about people, and nothing says about whom.
    ACCOUNT_WORDS_FORGET = "UPDATE account SET message = NULL WHERE message IS NOT NULL";
    CALLS_FORGET = "DELETE FROM call WHERE meter = $1 AND at_ms < $2";
    CALLS_UNNAME =
        "UPDATE call SET meter = NULL, dataset = NULL, start_day = NULL, end_day = NULL WHERE meter = $1";
    METER_FORGET = "DELETE FROM meter WHERE id = $1";
    /// What no contract says any more.
    OFFPEAK_SLOTS_FORGET =
        "DELETE FROM offpeak_slot WHERE NOT EXISTS (SELECT 1 FROM contract k WHERE k.offpeak_hours = offpeak_slot.text)";
    OFFPEAK_FORGET = "DELETE FROM offpeak WHERE NOT EXISTS (SELECT 1 FROM contract k WHERE k.offpeak_hours = offpeak.text)";

    // What the operator sees.
    /// With the oldest and the newest complete day outside the window.
    STATUS_SERIES =
        "SELECT s.meter, m.prm, m.name, o.name, s.dataset, s.state, s.code, s.message, s.last_success_at,
                s.not_before, s.first_day, s.end_day, n.until, before.oldest, before.newest, after.oldest, after.newest
         FROM series s JOIN meter m ON m.id = s.meter JOIN source o ON o.id = s.source
         LEFT JOIN consent n ON n.meter = s.meter
         LEFT JOIN LATERAL (
             SELECT min(v.day) AS oldest, max(v.day) AS newest FROM coverage v
             WHERE v.meter = s.meter AND v.dataset = s.dataset AND v.state = 0 AND v.day < coalesce(s.first_day, 'infinity')
         ) before ON true
         LEFT JOIN LATERAL (
             SELECT min(v.day) AS oldest, max(v.day) AS newest FROM coverage v
             WHERE v.meter = s.meter AND v.dataset = s.dataset AND v.state = 0 AND v.day >= s.end_day
         ) after ON true
         WHERE s.configured AND s.dataset < 8 ORDER BY m.position, m.id, s.position, s.dataset";
    /// The days of windows that are not complete, by their state: how many, in how many runs, the next try;
    /// and how many days of the window's beginning and end have no complete one among them.
    STATUS_OPEN =
        "SELECT meter, dataset, state, count(*), count(*) FILTER (WHERE day - 1 IS DISTINCT FROM before),
                min(next_try), count(*) FILTER (WHERE lead), count(*) FILTER (WHERE trail)
         FROM (
             SELECT v.meter, v.dataset, v.state, v.day, v.next_try,
                    lag(v.day) OVER (PARTITION BY v.meter, v.dataset, v.state ORDER BY v.day) AS before,
                    v.day - s.first_day + 1 = row_number() OVER (PARTITION BY v.meter, v.dataset ORDER BY v.day) AS lead,
                    s.end_day - v.day = row_number() OVER (PARTITION BY v.meter, v.dataset ORDER BY v.day DESC) AS trail
             FROM series s JOIN coverage v ON v.meter = s.meter AND v.dataset = s.dataset
             WHERE s.configured AND v.state <> 0 AND v.day >= s.first_day AND v.day < s.end_day
         ) open GROUP BY meter, dataset, state";

    ENERGY_OF_DAYS =
        "SELECT v.meter, v.direction, v.day, v.daily_wh::float8, v.curve_wh, v.index_wh::float8
         FROM meter m JOIN v_reconciliation v ON v.prm = m.prm
         WHERE m.configured AND v.day >= $1 AND num_nonnulls(v.daily_wh, v.curve_wh, v.index_wh) > 1
         ORDER BY m.position, v.direction, v.day";

    // Checks; each counts or names what must not be.
    CHECK_OVERLAP =
        "SELECT count(*) FROM (
            SELECT l.start + make_interval(mins => k.minutes) AS ends,
                   lead(l.start) OVER (PARTITION BY l.meter, l.direction ORDER BY l.start) AS next
            FROM load_curve l JOIN interval_kind k ON k.id = l.kind
         ) pairs WHERE next < ends";
    CHECK_OFFSET =
        "SELECT count(*) FROM load_curve l
         LEFT JOIN interval_kind k ON k.id = l.kind
         LEFT JOIN calendar c ON c.day = (l.start AT TIME ZONE 'UTC' + make_interval(hours => 1 + k.summer))::date
         LEFT JOIN clock_hour h ON h.start = date_trunc('hour', l.start, 'UTC')
         WHERE c.day IS NULL OR h.start IS NULL OR l.start < c.starts_at
            OR l.start >= c.starts_at + make_interval(mins => c.minutes)";
    CHECK_HOURS =
        "SELECT DISTINCT date_trunc('hour', l.start, 'UTC'), k.summer
         FROM load_curve l JOIN interval_kind k ON k.id = l.kind";
    CHECK_VALUES =
        "SELECT (SELECT count(*) FROM load_curve WHERE watts < 0)
              + (SELECT count(*) FROM interval_kind WHERE minutes NOT IN (5, 10, 15, 20, 30, 60))
              + (SELECT count(*) FROM daily_energy WHERE wh < 0) + (SELECT count(*) FROM max_power WHERE va < 0)
              + (SELECT count(*) FROM register_reading WHERE wh < 0) + (SELECT count(*) FROM daily_by_class WHERE wh < 0)";
    CHECK_OWNERS =
        "SELECT count(*) FROM (
            SELECT DISTINCT l.meter, k.source FROM load_curve l LEFT JOIN interval_kind k ON k.id = l.kind
            UNION SELECT meter, source FROM daily_energy
            UNION SELECT meter, source FROM max_power UNION SELECT meter, NULL FROM coverage
            UNION SELECT meter, source FROM register_reading UNION SELECT meter, NULL FROM daily_by_class
            UNION SELECT meter, source FROM raw_answer
         ) r WHERE r.meter NOT IN (SELECT id FROM meter) OR r.source NOT IN (SELECT id FROM source)";
    // Of days: how many, and the newest of them by meter and dataset.
    CHECK_CURVE_COUNTS =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v JOIN dataset d ON d.id = v.dataset AND d.curve
         JOIN calendar c ON c.day = v.day
         WHERE v.stored <> (
            SELECT count(*) FROM load_curve l WHERE l.meter = v.meter AND l.direction = d.direction
              AND l.start >= c.starts_at AND l.start < c.starts_at + make_interval(mins => c.minutes))
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    CHECK_CURVE_TILES =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v JOIN dataset d ON d.id = v.dataset AND d.curve
         JOIN calendar c ON c.day = v.day
         WHERE v.state = 0 AND c.minutes <> coalesce((
            SELECT sum(k.minutes) FROM load_curve l JOIN interval_kind k ON k.id = l.kind
            WHERE l.meter = v.meter AND l.direction = d.direction
              AND l.start >= c.starts_at AND l.start < c.starts_at + make_interval(mins => c.minutes)
              AND l.start + make_interval(mins => k.minutes) <= c.starts_at + make_interval(mins => c.minutes)), 0)
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    CHECK_CURVE_UNKNOWN =
        "SELECT count(*) FROM (
            SELECT DISTINCT l.meter, l.direction,
                   (l.start AT TIME ZONE 'UTC' + make_interval(hours => 1 + k.summer))::date AS day
            FROM load_curve l JOIN interval_kind k ON k.id = l.kind
         ) l WHERE NOT EXISTS (
            SELECT 1 FROM coverage v WHERE v.meter = l.meter AND v.dataset = l.direction + 1 AND v.day = l.day)";
    CHECK_DAILY_COUNTS =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v
         WHERE (v.dataset IN (3, 4) AND v.stored <> (SELECT count(*) FROM daily_energy e
                WHERE e.meter = v.meter AND e.direction = v.dataset - 3 AND e.day = v.day))
            OR (v.dataset = 5 AND v.stored <> (SELECT count(*) FROM max_power x
                WHERE x.meter = v.meter AND x.day = v.day))
            OR (v.dataset IN (3, 4, 5) AND v.state = 0 AND v.stored <> 1)
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    /// A snapshot may be stamped up to two hours beside its midnight.
    CHECK_REGISTERS =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v JOIN calendar c ON c.day = v.day
         WHERE v.dataset IN (6, 7) AND ((v.state = 0 AND v.stored <> 1) OR (v.stored = 1 AND NOT EXISTS (
            SELECT 1 FROM register_reading r
            WHERE r.meter = v.meter AND r.direction = v.dataset - 6 AND r.daily
              AND r.read_at BETWEEN c.starts_at - make_interval(hours => 2) AND c.starts_at + make_interval(hours => 2))))
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    /// Energy that does not follow from the registers of its class at the two midnights.
    CHECK_BY_CLASS =
        "SELECT count(*) FROM daily_by_class b JOIN calendar c ON c.day = b.day
         CROSS JOIN LATERAL (SELECT c.starts_at + make_interval(mins => c.minutes) AS ends_at) e
         WHERE NOT EXISTS (
            SELECT 1 FROM register_reading r
            WHERE r.meter = b.meter AND r.direction = b.direction AND r.daily
              AND r.calendar = b.calendar AND r.tariff_class = b.tariff_class
              AND r.read_at BETWEEN c.starts_at - make_interval(hours => 2) AND c.starts_at + make_interval(hours => 2))
            OR NOT EXISTS (
            SELECT 1 FROM register_reading r
            WHERE r.meter = b.meter AND r.direction = b.direction AND r.daily
              AND r.calendar = b.calendar AND r.tariff_class = b.tariff_class
              AND r.read_at BETWEEN e.ends_at - make_interval(hours => 2) AND e.ends_at + make_interval(hours => 2))";
    /// The planner takes it for granted that each day of a window has a record.
    CHECK_WINDOWS =
        "SELECT count(*) FROM series s
         WHERE s.end_day - s.first_day > (
            SELECT count(*) FROM coverage v WHERE v.meter = s.meter AND v.dataset = s.dataset
              AND v.day >= s.first_day AND v.day < s.end_day)";
    CHECK_CONTRACTS =
        "SELECT count(*) FROM contract
         WHERE subscribed_va < 0 OR valid_from > (learnt_at AT TIME ZONE 'UTC')::date + 1";
    CHECK_CALENDAR = "SELECT day, starts_at, minutes FROM calendar ORDER BY day";

    // Every value of a series, for comparing and exporting.
    CURVE_READINGS =
        "SELECT l.start, k.minutes, l.watts
         FROM meter m JOIN load_curve l ON l.meter = m.id JOIN interval_kind k ON k.id = l.kind
         WHERE m.prm = $1 AND l.direction = $2 ORDER BY l.start";
    DAILY_READINGS =
        "SELECT e.day, e.wh FROM daily_energy e JOIN meter m ON m.id = e.meter
         WHERE m.prm = $1 AND e.direction = $2 ORDER BY e.day";
    PEAK_READINGS =
        "SELECT x.day, x.va, x.local_seconds, x.at FROM max_power x JOIN meter m ON m.id = x.meter
         WHERE m.prm = $1 ORDER BY x.day";
    REGISTER_READINGS =
        "SELECT r.read_at, r.calendar, r.register, r.tariff_class, r.daily, r.wh
         FROM register_reading r JOIN meter m ON m.id = r.meter
         WHERE m.prm = $1 AND r.direction = $2 ORDER BY r.read_at, r.calendar, r.register, r.tariff_class";
}
