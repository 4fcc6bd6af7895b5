//! Every fixed statement of the SQLite store, side by side. A test prepares each of them against
//! a fresh schema, so that a misspelt column cannot reach a user. The only other SQL is in
//! [`super::rows`] and in `migrations/sqlite`.

/// Declares the statements and the list of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)*
        /// Each of them, by its name.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

statements! {
    BEGIN_WRITE = "BEGIN IMMEDIATE";
    BEGIN_READ = "BEGIN";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";

    // The file itself.
    APPLICATION_ID = "PRAGMA application_id";
    USER_VERSION = "PRAGMA user_version";
    OBJECTS = "SELECT count(*) FROM sqlite_schema";
    /// Changes each time that another connection has written.
    DATA_VERSION = "PRAGMA data_version";
    /// From here on a renamed table takes its name along in no view.
    RENAMES_ALONE = "PRAGMA legacy_alter_table = ON";
    RENAMES_THROUGHOUT = "PRAGMA legacy_alter_table = OFF";
    WAL = "PRAGMA journal_mode = WAL";
    PATIENCE_SHORT = "PRAGMA busy_timeout = 200";
    PATIENCE_LONG = "PRAGMA busy_timeout = 60000";
    CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)";
    /// Gives memory back that the cache of pages holds.
    SHRINK = "PRAGMA shrink_memory";
    INTEGRITY = "PRAGMA integrity_check(20)";
    QUICK_CHECK = "PRAGMA quick_check(20)";
    FOREIGN_KEYS = "SELECT DISTINCT \"table\" FROM pragma_foreign_key_check";

    // Setting up.
    /// What a source counts by is called otherwise now. Unless others count by it too, it stays the same
    /// account: editing an identifier refills no budget.
    ACCOUNT_RENAME =
        "UPDATE account SET key = ?2
         WHERE id = (SELECT s.account FROM source s WHERE s.name = ?1 AND s.configured = 1 AND s.kind = ?3)
           AND key <> ?2 AND NOT EXISTS (SELECT 1 FROM account a WHERE a.key = ?2)
           AND (SELECT count(*) FROM source s WHERE s.account = account.id AND s.configured = 1) = 1";
    ACCOUNT_ADD = "INSERT INTO account (key) VALUES (?1) ON CONFLICT DO NOTHING";
    SOURCE_PUT =
        "INSERT INTO source (name, kind, account, configured, direct, credentials)
         SELECT ?1, ?2, a.id, 1, ?4, ?5 FROM account a WHERE a.key = ?3
         ON CONFLICT (name) DO UPDATE
         SET kind = excluded.kind, account = excluded.account, configured = 1, direct = excluded.direct,
             credentials = excluded.credentials
         WHERE kind <> excluded.kind OR account <> excluded.account OR configured <> 1 OR direct <> excluded.direct
            OR credentials <> excluded.credentials";
    /// A name that now stands for another kind: what the former one brought keeps its provenance.
    SOURCE_RETIRE =
        "UPDATE source SET name = name || ' (' || kind || ' ' || id || ')', configured = 0 WHERE name = ?1 AND kind <> ?2";
    SOURCE_CREDENTIALS = "SELECT credentials FROM source WHERE name = ?1";
    SOURCE_IDS = "SELECT id, name, configured FROM source";
    SOURCE_LEAVES = "UPDATE source SET configured = 0 WHERE id = ?1";
    METER_PUT =
        "INSERT INTO meter (prm, name, source, configured, position)
         SELECT ?1, ?2, s.id, 1, ?4 FROM source s WHERE s.name = ?3
         ON CONFLICT (prm) DO UPDATE
         SET name = excluded.name, source = excluded.source, configured = 1, position = excluded.position
         WHERE name <> excluded.name OR source <> excluded.source OR configured <> 1
            OR position <> excluded.position";
    METER_IDS = "SELECT id, prm, source, configured FROM meter";
    METER_LEAVES = "UPDATE meter SET configured = 0 WHERE id = ?1";
    SERIES_PUT =
        "INSERT INTO series (meter, dataset, source, configured, position, state)
         VALUES (?1, ?2, ?3, 1, ?4, CASE WHEN ?2 > 7 THEN 4 ELSE 0 END)
         ON CONFLICT (meter, dataset) DO UPDATE SET configured = 1, position = excluded.position
         WHERE configured <> 1 OR position <> excluded.position";
    CONSENT_CLEAR =
        "UPDATE consent SET until = NULL, source = NULL, granted_at = NULL, learnt = NULL, warned = NULL
         WHERE meter = ?1 AND until IS NOT NULL";
    /// Who was warned of another end was not warned of this one.
    CONSENT_PUT =
        "INSERT INTO consent (meter, until, source, granted_at, learnt) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (meter) DO UPDATE
         SET until = excluded.until, source = excluded.source, granted_at = excluded.granted_at,
             learnt = excluded.learnt, warned = CASE WHEN until IS excluded.until THEN warned END
         WHERE (until, source, granted_at, learnt)
            IS NOT (excluded.until, excluded.source, excluded.granted_at, excluded.learnt)";
    CONSENTS_WARN =
        "UPDATE consent
         SET warned = CASE WHEN until <= ?1 THEN 0 WHEN until - ?1 < 86400 THEN 1 WHEN until - ?1 < 604800 THEN 7 ELSE 30 END
         WHERE until - ?1 < 2592000
           AND coalesce(warned, 99) >
               CASE WHEN until <= ?1 THEN 0 WHEN until - ?1 < 86400 THEN 1 WHEN until - ?1 < 604800 THEN 7 ELSE 30 END
           AND EXISTS (SELECT 1 FROM meter m WHERE m.id = consent.meter AND m.configured = 1)
         RETURNING (SELECT m.name FROM meter m WHERE m.id = consent.meter), until";

    // Consents.
    AUTHORISATIONS =
        "SELECT a.prm, s.name, a.api, a.number, a.granted_at, a.until, a.learnt, a.ended, a.checked_at, a.covers
         FROM authorisation a JOIN source s ON s.id = a.source ORDER BY a.prm, a.source";
    /// A consent that is taken up late puts none away that was given since.
    AUTHORISATION_PUT =
        "INSERT INTO authorisation (prm, source, api, number, granted_at, until, learnt, ended, checked_at, covers)
         SELECT ?1, s.id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM source s WHERE s.name = ?2
         ON CONFLICT (source, prm) DO UPDATE
         SET api = excluded.api, number = coalesce(excluded.number, authorisation.number),
             granted_at = excluded.granted_at, until = excluded.until, learnt = excluded.learnt,
             ended = excluded.ended, checked_at = excluded.checked_at, covers = excluded.covers
         WHERE excluded.granted_at >= authorisation.granted_at";
    /// What a look found out is about the consent that was looked at, and no word about one that was given since.
    AUTHORISATION_SEEN =
        "UPDATE authorisation SET until = ?4, learnt = ?5, ended = ?6, checked_at = ?7, covers = ?8
         WHERE prm = ?1 AND source = (SELECT s.id FROM source s WHERE s.name = ?2) AND granted_at = ?3";
    /// Three years are the longest that a consent lasts.
    JOURNEYS_FORGET = "DELETE FROM journey WHERE begun_at < ?1 - 3 * 366 * 86400";
    JOURNEY_PUT =
        "INSERT INTO journey (state, source, api, duration, begun_at)
         SELECT ?1, s.id, ?3, ?4, ?5 FROM source s WHERE s.name = ?2";
    JOURNEY_ANSWER =
        "UPDATE journey SET answered_at = ?2, number = ?3, done_at = ?4 WHERE state = ?1 AND answered_at IS NULL";
    JOURNEY_GET =
        "SELECT j.state, s.name, j.api, j.duration, j.begun_at, j.answered_at, j.number, j.done_at
         FROM journey j JOIN source s ON s.id = j.source WHERE j.state = ?1";
    /// As long as the meter is not known: a number may have been cut off.
    JOURNEY_CORRECT = "UPDATE journey SET number = ?2 WHERE state = ?1 AND number IS NOT NULL AND done_at IS NULL";
    JOURNEY_FINISH = "UPDATE journey SET done_at = ?2 WHERE state = ?1 AND done_at IS NULL";
    JOURNEYS_UNFINISHED =
        "SELECT j.state, s.name, j.api, j.duration, j.begun_at, j.answered_at, j.number, j.done_at
         FROM journey j JOIN source s ON s.id = j.source
         WHERE j.number IS NOT NULL AND j.done_at IS NULL ORDER BY j.begun_at DESC, j.state";

    /// How the series stands at the source that serves it is kept, unless there is nothing to say.
    SERVE_PARK =
        "INSERT INTO elsewhere (meter, dataset, source, state, code, message, not_before)
         SELECT meter, dataset, source, state, code, message, not_before FROM series
         WHERE meter = ?1 AND dataset = ?2 AND source <> ?3 AND (state <> 0 OR not_before IS NOT NULL)";
    SERVE_TAKE =
        "UPDATE series SET (source, state, code, message, not_before) = (
             SELECT ?3, coalesce(e.state, 0), e.code, e.message, e.not_before
             FROM (SELECT 1) LEFT JOIN elsewhere e ON e.meter = ?1 AND e.dataset = ?2 AND e.source = ?3
         ) WHERE meter = ?1 AND dataset = ?2";
    SERVE_TAKEN = "DELETE FROM elsewhere WHERE meter = ?1 AND dataset = ?2 AND source = ?3";
    SERIES_CONFIGURED = "SELECT meter, dataset FROM series WHERE configured = 1";
    SERIES_LEAVES = "UPDATE series SET configured = 0 WHERE meter = ?1 AND dataset = ?2";

    // Off-peak hours.
    /// With whether it was read before, and not understood.
    OFFPEAK_NEW =
        "SELECT DISTINCT k.offpeak_hours, EXISTS (SELECT 1 FROM offpeak o WHERE o.text = k.offpeak_hours)
         FROM contract k WHERE k.offpeak_hours IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM offpeak o WHERE o.text = k.offpeak_hours AND o.kind <> 0)";
    OFFPEAK_ADD =
        "INSERT INTO offpeak (text, kind) VALUES (?1, ?2)
         ON CONFLICT (text) DO UPDATE SET kind = excluded.kind WHERE kind = 0";
    OFFPEAK_SLOT_ADD = "INSERT INTO offpeak_slot (text, season, from_minute, to_minute) VALUES (?1, ?2, ?3, ?4)";

    // Calendar.
    // A look-up of a key each; min() and max() side by side would walk the table.
    CALENDAR_ENDS =
        "SELECT (SELECT min(day) FROM calendar), (SELECT max(day) FROM calendar),
                (SELECT min(start) FROM clock_hour), (SELECT max(start) FROM clock_hour)";

    // Windows.
    WINDOW_GET = "SELECT first_day, end_day FROM series WHERE meter = ?1 AND dataset = ?2";
    WINDOW_SET = "UPDATE series SET first_day = ?3, end_day = ?4 WHERE meter = ?1 AND dataset = ?2";
    WINDOW_FILL =
        "INSERT INTO coverage (meter, dataset, day, state)
         SELECT ?1, ?2, c.day, 1 FROM calendar c
         WHERE c.day >= ?3 AND c.day < ?4
           AND NOT EXISTS (SELECT 1 FROM coverage v WHERE v.meter = ?1 AND v.dataset = ?2 AND v.day = c.day)
         ORDER BY c.day";
    WINDOW_EXPIRE =
        "UPDATE coverage SET state = 5, next_try = NULL
         WHERE meter = ?1 AND dataset = ?2 AND day < ?3 AND state IN (1, 2, 3)";
    WINDOW_REOPEN =
        "UPDATE coverage SET state = 1
         WHERE meter = ?1 AND dataset = ?2 AND day >= ?3 AND day < ?4 AND state = 5";
    WINDOW_FORGET =
        "DELETE FROM coverage WHERE meter = ?1 AND dataset = ?2 AND day < ?3 AND stored = 0 AND state <> 0";
    PASS_SET =
        "INSERT INTO last_pass (id, at, end_day) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, end_day = coalesce(excluded.end_day, end_day)
         WHERE at <> excluded.at OR end_day IS NOT excluded.end_day";

    // Readings.
    CURVE_HELD =
        "SELECT l.start, k.minutes, l.watts, k.source FROM load_curve l CROSS JOIN interval_kind k ON k.id = l.kind
         WHERE l.meter = ?1 AND l.direction = ?2 AND l.start > ?3 AND l.start < ?4 ORDER BY l.start";
    /// Numbers from 0: the first two take no room in a row.
    KIND_ADD =
        "INSERT INTO interval_kind (id, minutes, summer, source)
         SELECT count(*), ?1, ?2, ?3 FROM interval_kind";
    /// A run of intervals that follow each other and are alike, newest first: the start of the newest,
    /// their length in seconds, their kind, and a JSON array of watts. A statement of rows would have
    /// five parameters an interval, which cost more than the insert.
    CURVE_RUN =
        "INSERT INTO load_curve (meter, direction, start, kind, watts)
         SELECT ?, ?, ? - ? * w.key, ?, w.value FROM json_each(?) w WHERE true
         ON CONFLICT (meter, direction, start) DO UPDATE SET kind = excluded.kind, watts = excluded.watts";
    CURVE_REMOVE = "DELETE FROM load_curve WHERE meter = ? AND direction = ? AND start = ?";
    ENERGY_HELD =
        "SELECT day, wh, source FROM daily_energy
         WHERE meter = ?1 AND direction = ?2 AND day >= ?3 AND day < ?4 ORDER BY day";
    DIRECT_SOURCES = "SELECT id FROM source WHERE direct = 1";
    /// Values that are wrong, unless others stand there meanwhile.
    CURVE_SPOILT = "DELETE FROM load_curve WHERE meter = ?1 AND direction = ?2 AND start = ?3 AND watts = ?4";
    ENERGY_SPOILT = "DELETE FROM daily_energy WHERE meter = ?1 AND direction = ?2 AND day = ?3 AND wh = ?4";
    PEAK_SPOILT = "DELETE FROM max_power WHERE meter = ?1 AND day = ?2 AND va = ?3";
    REGISTER_SPOILT =
        "DELETE FROM register_reading WHERE meter = ?1 AND direction = ?2 AND read_at = ?3 AND wh = ?4
            AND calendar = ?5 AND register = ?6 AND tariff_class = ?7";
    REVISION_HAS =
        "SELECT EXISTS (
             SELECT 1 FROM revision WHERE meter = ?1 AND dataset = ?2 AND start = ?3
                AND old_value = ?4 AND new_value = ?5 AND old_source = ?6)";
    PEAKS_HELD =
        "SELECT day, va, local_seconds, at, source FROM max_power
         WHERE meter = ?1 AND day >= ?2 AND day < ?3 ORDER BY day";

    REGISTERS_HELD =
        "SELECT read_at, calendar, register, tariff_class, daily, wh, source FROM register_reading
         WHERE meter = ?1 AND direction = ?2 AND read_at >= ?3 AND read_at <= ?4
         ORDER BY read_at, calendar, register, tariff_class";
    COUNTED_HELD =
        "SELECT day, calendar, tariff_class, wh FROM daily_by_class
         WHERE meter = ?1 AND direction = ?2 AND day >= ?3 AND day < ?4";
    COUNTED_REMOVE =
        "DELETE FROM daily_by_class WHERE meter = ? AND direction = ? AND day = ? AND calendar = ? AND tariff_class = ?";

    // Answers as they came.
    RAW_ADD =
        "INSERT INTO raw_answer (call, meter, dataset, source, start_day, end_day, asked_at, api, starts, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    /// Of what cannot be read the newest answer about the same days is enough.
    RAW_UNREAD_BEFORE =
        "DELETE FROM raw_answer WHERE meter = ? AND dataset = ? AND source = ? AND start_day = ? AND end_day = ?
            AND (SELECT c.outcome FROM call c WHERE c.id = raw_answer.call) = 0";
    /// By the machine's clock, whatever `--at` said. Lines of the journal ascend, so only those that go are
    /// passed over.
    RAW_PRUNE =
        "DELETE FROM raw_answer WHERE call < (
            SELECT c.id FROM call c
            WHERE c.id >= (SELECT min(k.call) FROM raw_answer k)
                AND c.at_ms >= (SELECT n.at_ms FROM call n ORDER BY n.id DESC LIMIT 1) - 86400000 * ?1
            ORDER BY c.id LIMIT 1)";
    RAW_SERIES = "SELECT DISTINCT meter, dataset FROM raw_answer ORDER BY meter, dataset";
    RAW_NOT_KEPT =
        "SELECT c.id, s.direct, c.start_day, c.end_day FROM call c JOIN source s ON s.id = c.source
         WHERE c.meter = ?1 AND c.dataset = ?2 AND c.outcome = 1 AND c.row_count > 0
            AND c.start_day IS NOT NULL AND c.end_day IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM raw_answer k WHERE k.call = c.id)";
    RAW_KEPT =
        "SELECT k.call, m.prm, m.name, k.source, s.direct, k.start_day, k.end_day, k.asked_at,
            coalesce(c.outcome, 1) = 1, k.api, k.starts, k.body
         FROM raw_answer k JOIN meter m ON m.id = k.meter JOIN source s ON s.id = k.source
         LEFT JOIN call c ON c.id = k.call
         WHERE k.meter = ?1 AND k.dataset = ?2 ORDER BY k.call";

    // Coverage and series.
    /// What an answer meets: day records, the numbers of kinds, whether its series and its line of
    /// the journal are there. It is one row with two JSON arrays, since each value of each row is
    /// copied on its way from the database's thread, and each row wakes the one who waits.
    ANSWER_MEETS =
        "SELECT
            (SELECT json_group_array(json_array(day, state, stored, expected, checked_at, first_left_out,
                                                next_try, certain, last_try))
             FROM coverage WHERE meter = ? AND dataset = ? AND day >= ? AND day < ?),
            (SELECT json_group_array(json_array(minutes, summer, id)) FROM interval_kind WHERE source = ?),
            EXISTS (SELECT 1 FROM series WHERE meter = ? AND dataset = ?),
            EXISTS (SELECT 1 FROM call WHERE id = ?)";
    SERIES_ADD =
        "INSERT INTO series (meter, dataset, source, configured, position) VALUES (?, ?, ?, 0, 0)
         ON CONFLICT DO NOTHING";
    /// The step of a series is that of its newest interval: it stays where the answer has none, and
    /// where an interval is stored that starts later than the answer's newest.
    SERIES_ANSWERED =
        "UPDATE series SET state = 0, code = NULL, message = NULL, not_before = NULL,
             last_success_at = max(coalesce(last_success_at, ?), ?),
             step = CASE
                 WHEN ? IS NULL OR EXISTS (
                     SELECT 1 FROM load_curve l
                     WHERE l.meter = series.meter AND l.direction = ? AND l.start > ?
                 ) THEN step
                 ELSE ?
             END
         WHERE meter = ? AND dataset = ?";
    CALL_ANSWERED =
        "UPDATE call SET outcome = ?, status = ?, code = ?, row_count = ?, duration_ms = ? WHERE id = ?";
    SERIES_STATE =
        "UPDATE series SET state = ?, code = ?, message = ?, not_before = ? WHERE meter = ? AND dataset = ?";
    ACTIVATION_PUT =
        "INSERT INTO activation AS a (meter, direction, refused, accepted, refusals) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (meter, direction) DO UPDATE
         SET refused = excluded.refused, refusals = excluded.refusals,
             accepted = CASE WHEN a.refused IS excluded.refused AND a.refusals = excluded.refusals
                 THEN coalesce(min(a.accepted, excluded.accepted), a.accepted, excluded.accepted)
                 ELSE excluded.accepted END";
    /// As `Activation::accepting` has it, of what is stored by now.
    ACCEPTED_PUT =
        "INSERT INTO activation AS a (meter, direction, accepted, refusals) VALUES (?, ?, ?, 0)
         ON CONFLICT (meter, direction) DO UPDATE
         SET refused = CASE WHEN a.refused < excluded.accepted THEN a.refused END,
             refusals = CASE WHEN a.refused >= excluded.accepted THEN 0 ELSE a.refusals END,
             accepted = coalesce(min(a.accepted, excluded.accepted), excluded.accepted)";
    LEARNT_PUT =
        "INSERT INTO learnt (source, dataset, max_days, max_days_until, history_short, api, api_since, not_before)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (source, dataset) DO UPDATE
         SET max_days = excluded.max_days, max_days_until = excluded.max_days_until,
             history_short = excluded.history_short, api = excluded.api, api_since = excluded.api_since,
             not_before = excluded.not_before";
    SOURCE_STATE =
        "UPDATE account SET not_before_ms = ?, code = ?, message = ?, slow_until_ms = ?, refusals = ?, strikes = ?
         WHERE id = (SELECT account FROM source WHERE id = ?)";
    TOLD_PUT =
        "INSERT INTO told (account, pool, calls_left, at_ms, until_ms)
         SELECT s.account, ?, ?, ?, ? FROM source s WHERE s.id = ?
         ON CONFLICT (account, pool) DO UPDATE
         SET calls_left = excluded.calls_left, at_ms = excluded.at_ms, until_ms = excluded.until_ms
         WHERE excluded.at_ms >= at_ms OR until_ms <= excluded.at_ms";
    RESTING =
        "SELECT a.id, a.not_before_ms, a.code, a.message, a.refusals, a.strikes
         FROM source s JOIN account a ON a.id = s.account WHERE s.name = ?1";
    /// Series that fail for nothing but the rest of their source are well again with it.
    RESUME_SERIES =
        "UPDATE series SET state = 4, code = NULL, message = NULL, not_before = NULL
         WHERE state = 3 AND code = ?2 AND source IN (SELECT id FROM source WHERE account = ?1)";
    RESUME =
        "UPDATE account SET not_before_ms = NULL, code = NULL, message = NULL, refusals = 0, strikes = 0 WHERE id = ?1";

    // The journal.
    SOURCE_ACCOUNT_BY_NAME = "SELECT account FROM source WHERE name = ?1";
    /// The account and until when it rests; when its latest call started, and the one that is so many
    /// back behind it; when those of one pool did that are so many back (the hour, the day, the day
    /// less what is kept); and what the source said last about that pool: calls left, until when.
    USAGE =
        "SELECT s.account, a.not_before_ms,
            (SELECT k.at_ms FROM call k WHERE k.account = s.account ORDER BY k.at_ms DESC LIMIT 1),
            (SELECT k.at_ms FROM call k WHERE k.account = s.account ORDER BY k.at_ms DESC LIMIT 1 OFFSET ?),
            (SELECT k.at_ms FROM call k WHERE k.account = s.account AND k.pool = ?
             ORDER BY k.at_ms DESC LIMIT 1 OFFSET ?),
            (SELECT k.at_ms FROM call k WHERE k.account = s.account AND k.pool = ?
             ORDER BY k.at_ms DESC LIMIT 1 OFFSET ?),
            (SELECT k.at_ms FROM call k WHERE k.account = s.account AND k.pool = ?
             ORDER BY k.at_ms DESC LIMIT 1 OFFSET ?),
            t.calls_left - (SELECT count(*) FROM call k WHERE k.account = s.account AND k.pool = ? AND k.at_ms > t.at_ms),
            t.until_ms
         FROM source s JOIN account a ON a.id = s.account
         LEFT JOIN told t ON t.account = s.account AND t.pool = ?
         WHERE s.id = ?";
    CALL_ADD =
        "INSERT INTO call (account, at_ms, asked_at, source, pool, api, meter, dataset, start_day, end_day)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    CALL_END =
        "UPDATE call SET outcome = ?2, status = ?3, code = ?4, duration_ms = ?5 WHERE id = ?1";
    SPENT =
        "SELECT
            (SELECT count(*) FROM call WHERE account = ?1 AND pool = ?3 AND at_ms > ?2 - 3600000),
            (SELECT count(*) FROM call WHERE account = ?1 AND pool = ?3 AND at_ms > ?2 - 86400000),
            (SELECT max(0, t.calls_left - (
                 SELECT count(*) FROM call WHERE account = ?1 AND pool = ?3 AND at_ms > t.at_ms
             )) FROM told t WHERE t.account = ?1 AND t.pool = ?3 AND t.until_ms > ?2)";
    REFUSED_TOKENS =
        "SELECT count(*) FROM call
         WHERE account = (SELECT account FROM source WHERE id = ?1) AND at_ms >= ?2
           AND outcome = 0
           AND ((dataset IS NULL AND api IS NULL) OR status = 401 OR code IN (SELECT value FROM json_each(?3)))";

    /// The last line after that one behind which only lines are that may still change.
    TALLY_SETTLED =
        "SELECT coalesce(min(k.id) FILTER (WHERE abs(k.at_ms - n.newest) < ?2) - 1, ?1)
         FROM (SELECT (SELECT at_ms FROM call WHERE id > ?1 ORDER BY id DESC LIMIT 1) AS newest) n
         LEFT JOIN call k ON k.id > ?1";
    /// The durations are those of `DURATIONS_MS`.
    TALLY =
        "SELECT s.name, k.api, k.dataset, k.outcome, k.status, k.code, count(*), coalesce(sum(k.duration_ms), 0),
            count(*) FILTER (WHERE k.duration_ms <= 100), count(*) FILTER (WHERE k.duration_ms <= 250),
            count(*) FILTER (WHERE k.duration_ms <= 500), count(*) FILTER (WHERE k.duration_ms <= 1000),
            count(*) FILTER (WHERE k.duration_ms <= 2500), count(*) FILTER (WHERE k.duration_ms <= 5000),
            count(*) FILTER (WHERE k.duration_ms <= 10000), k.id > ?1
         FROM call k JOIN source s ON s.id = k.source
         WHERE k.id > ?2 AND k.outcome IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 16";

    // What the planner needs.
    FACTS_SERIES =
        "SELECT s.meter, m.prm, m.name, s.dataset, s.source, s.state, s.code, s.not_before, s.last_success_at
         FROM series s JOIN meter m ON m.id = s.meter
         WHERE s.configured = 1 AND s.dataset < 8 ORDER BY m.position, m.id, s.position, s.dataset";
    FACTS_DAYS =
        "SELECT v.meter, v.dataset, v.day, v.state, v.stored, v.expected, v.checked_at, v.first_left_out,
                v.next_try, v.certain, v.last_try
         FROM series s CROSS JOIN coverage v ON v.meter = s.meter AND v.dataset = s.dataset
         WHERE s.configured = 1 AND (v.state <> 1 OR v.checked_at IS NOT NULL)";
    FACTS_SOURCES =
        "SELECT s.id, s.name, s.kind, a.not_before_ms, a.code, a.message, a.slow_until_ms, a.refusals, a.strikes
         FROM source s JOIN account a ON a.id = s.account WHERE s.configured = 1 ORDER BY s.id";
    FACTS_ELSEWHERE = "SELECT meter, dataset, source, state, code, not_before FROM elsewhere";
    FACTS_LEARNT =
        "SELECT source, dataset, max_days, max_days_until, history_short, api, api_since, not_before FROM learnt";
    FACTS_ACTIVATIONS = "SELECT meter, direction, refused, accepted, refusals FROM activation";
    FACTS_FAILED =
        "SELECT k.meter, k.dataset, k.source, k.start_day, k.end_day, k.asked_at, coalesce(k.code, ''),
                EXISTS (
                    SELECT 1 FROM call n
                    WHERE n.id > k.id AND n.meter = k.meter AND n.dataset = k.dataset AND n.source = k.source
                      AND n.outcome = 1
                )
         FROM call k
         WHERE k.outcome = 0 AND k.asked_at >= ?1 AND k.start_day IS NOT NULL ORDER BY k.asked_at, k.id";

    /// The earliest instant of each day: by it the call reached least far back.
    OLDEST_ANSWERED =
        "SELECT min(asked_at), min(start_day) FROM call
         WHERE source = ?1 AND dataset = ?2 AND outcome = 1 GROUP BY asked_at / 86400";

    // Customers. Their datasets have the numbers from 8 on, and no days.
    CUSTOMERS =
        "SELECT s.meter, m.prm, m.name, s.dataset, s.source, s.state, s.code, s.message, s.not_before,
            s.last_success_at
         FROM series s JOIN meter m ON m.id = s.meter
         WHERE s.configured = 1 AND s.dataset > 7 ORDER BY m.position, m.id, s.position, s.dataset";
    CUSTOMER_STATUS =
        "SELECT m.prm, m.name, o.name, s.dataset, s.state, s.code, s.message, s.last_success_at, s.not_before
         FROM series s JOIN meter m ON m.id = s.meter JOIN source o ON o.id = s.source
         WHERE s.configured = 1 AND s.dataset > 7 ORDER BY m.position, m.id, s.position, s.dataset";
    CUSTOMER_STATE =
        "UPDATE series SET source = ?1, state = ?2, code = ?3, message = ?4, not_before = ?5,
             last_success_at = coalesce(?6, last_success_at)
         WHERE meter = ?7 AND dataset = ?8";
    FLOORS =
        "SELECT k.meter, k.direction, k.activated_on FROM contract k
         WHERE k.activated_on IS NOT NULL AND k.valid_from = (
             SELECT max(n.valid_from) FROM contract n WHERE n.meter = k.meter AND n.direction = k.direction)";
    /// As in `v_load_curve`: what gives no interval a class.
    HOURS_UNCLEAR =
        "SELECT m.name, k.valid_from, k.offpeak_hours FROM meter m
         JOIN contract k ON k.meter = m.id AND k.direction = 0
         JOIN offpeak o ON o.text = k.offpeak_hours
         WHERE m.configured = 1 AND (?1 IS NULL OR m.id = ?1)
           AND k.valid_from = (SELECT max(n.valid_from) FROM contract n WHERE n.meter = m.id AND n.direction = 0)
           AND (o.kind = 0 OR (o.kind = 1 AND k.distribution_tariff NOT GLOB 'BTINF*ST'))
         ORDER BY m.position, m.id";
    CLOSED_BY_NAME =
        "SELECT s.name, c.path, c.code FROM closed_call c JOIN source s ON s.id = c.source ORDER BY s.name, c.path";
    CLOSED_CALLS = "SELECT source, path, code, not_before FROM closed_call";
    CLOSED_PUT =
        "INSERT INTO closed_call (source, path, code, not_before) VALUES (?, ?, ?, ?)
         ON CONFLICT (source, path) DO UPDATE SET code = excluded.code, not_before = excluded.not_before";
    CLOSED_OVER = "DELETE FROM closed_call WHERE source = ? AND path = ?";
    CONTRACT_NEWEST =
        "SELECT valid_from, segment, subscribed_va, distribution_tariff, offpeak_hours, activated_on, starts_on, kind,
                status, tariff_label, meter_type, level
         FROM contract WHERE meter = ?1 AND direction = ?2 ORDER BY valid_from DESC LIMIT 1";
    CONTRACT_PUT =
        "INSERT INTO contract (meter, direction, valid_from, segment, subscribed_va, distribution_tariff, offpeak_hours,
             activated_on, starts_on, kind, status, tariff_label, meter_type, level, learnt_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (meter, direction, valid_from) DO UPDATE
         SET segment = excluded.segment, subscribed_va = excluded.subscribed_va,
             distribution_tariff = excluded.distribution_tariff, offpeak_hours = excluded.offpeak_hours,
             activated_on = excluded.activated_on, starts_on = excluded.starts_on, kind = excluded.kind,
             status = excluded.status, tariff_label = excluded.tariff_label, meter_type = excluded.meter_type,
             level = excluded.level, learnt_at = excluded.learnt_at";
    ADDRESS_PUT =
        "INSERT OR REPLACE INTO personal_address (meter, learnt_at, details, street, locality, postal_code, city,
             insee_code, country, latitude, longitude, altitude)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    IDENTITY_PUT =
        "INSERT OR REPLACE INTO personal_identity (meter, learnt_at, title, first_name, last_name, organisation,
             trading_name, business, siret, siren)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    CONTACT_PUT =
        "INSERT OR REPLACE INTO personal_contact (meter, learnt_at, phone, landline, email) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// What is deleted from now on is overwritten in the file.
    SECURE_DELETE = "PRAGMA secure_delete = ON";
    USUAL_DELETE = "PRAGMA secure_delete = OFF";

    // Forgetting.
    METERS_KNOWN = "SELECT id, prm, name FROM meter ORDER BY position, id";
    TABLES_OF_METERS =
        "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND c.name IN ('meter', 'prm') AND t.name NOT IN ('call', 'meter') ORDER BY 1";
    /// An authorisation's number stands for its meter.
    JOURNEYS_UNNAME =
        "DELETE FROM journey WHERE EXISTS (SELECT 1 FROM authorisation a
         WHERE a.source = journey.source AND a.number = journey.number AND a.prm = ?1)";
    /// What a source once said beside a refusal may have been about people, and nothing says about whom.
    ACCOUNT_WORDS_FORGET = "UPDATE account SET message = NULL WHERE message IS NOT NULL";
    CALLS_FORGET = "DELETE FROM call WHERE meter = ?1 AND at_ms < ?2";
    CALLS_UNNAME =
        "UPDATE call SET meter = NULL, dataset = NULL, start_day = NULL, end_day = NULL WHERE meter = ?1";
    METER_FORGET = "DELETE FROM meter WHERE id = ?1";
    /// What no contract says any more.
    OFFPEAK_SLOTS_FORGET =
        "DELETE FROM offpeak_slot WHERE NOT EXISTS (SELECT 1 FROM contract k WHERE k.offpeak_hours = offpeak_slot.text)";
    OFFPEAK_FORGET = "DELETE FROM offpeak WHERE NOT EXISTS (SELECT 1 FROM contract k WHERE k.offpeak_hours = offpeak.text)";
    VACUUM = "VACUUM";

    // Backing up.
    VACUUM_INTO = "VACUUM INTO ?1";
    TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY 1";

    // What the operator sees.
    STATUS_SERIES =
        "SELECT s.meter, m.prm, m.name, o.name, s.dataset, s.state, s.code, s.message, s.last_success_at,
                s.not_before, s.end_day, n.until
         FROM series s JOIN meter m ON m.id = s.meter JOIN source o ON o.id = s.source
         LEFT JOIN consent n ON n.meter = s.meter
         WHERE s.configured = 1 AND s.dataset < 8 ORDER BY m.position, m.id, s.position, s.dataset";
    /// Complete days count wherever they lie, all others only in the window.
    STATUS_DAYS =
        "SELECT v.meter, v.dataset, v.state, min(v.day), max(v.day), min(v.next_try),
                sum(v.day >= s.first_day AND v.day < s.end_day)
         FROM series s CROSS JOIN coverage v ON v.meter = s.meter AND v.dataset = s.dataset
         WHERE s.configured = 1 AND (v.state = 0 OR (v.day >= s.first_day AND v.day < s.end_day))
         GROUP BY v.meter, v.dataset, v.state";
    STATUS_GAPS = "SELECT prm, dataset, count(*) FROM v_gap GROUP BY prm, dataset";

    ENERGY_OF_DAYS =
        "SELECT v.meter, v.direction, v.day, v.daily_wh * 1.0, v.curve_wh, v.index_wh * 1.0
         FROM meter m CROSS JOIN v_reconciliation v ON v.prm = m.prm
         WHERE m.configured = 1 AND v.day >= ?1
           AND (v.daily_wh IS NOT NULL) + (v.curve_wh IS NOT NULL) + (v.index_wh IS NOT NULL) > 1
         ORDER BY m.position, v.direction, v.day";

    // Checks; each counts or names what must not be.
    CHECK_OVERLAP =
        "SELECT count(*) FROM (
            SELECT l.start + 60 * k.minutes AS ends,
                   lead(l.start) OVER (PARTITION BY l.meter, l.direction ORDER BY l.start) AS next
            FROM load_curve l JOIN interval_kind k ON k.id = l.kind
         ) WHERE next < ends";
    CHECK_OFFSET =
        "SELECT count(*) FROM load_curve l
         LEFT JOIN interval_kind k ON k.id = l.kind
         LEFT JOIN calendar c ON c.day = (l.start + 3600 * (1 + k.summer)) / 86400
         LEFT JOIN clock_hour h ON h.start = l.start - l.start % 3600
         WHERE c.day IS NULL OR h.start IS NULL OR l.start < c.starts_epoch
            OR l.start >= c.starts_epoch + 60 * c.minutes";
    CHECK_HOURS =
        "SELECT DISTINCT l.start - l.start % 3600, k.summer
         FROM load_curve l JOIN interval_kind k ON k.id = l.kind";
    CHECK_VALUES =
        "SELECT (SELECT count(*) FROM load_curve WHERE watts < 0)
              + (SELECT count(*) FROM interval_kind WHERE minutes NOT IN (5, 10, 15, 20, 30, 60))
              + (SELECT count(*) FROM daily_energy WHERE wh < 0) + (SELECT count(*) FROM max_power WHERE va < 0)
              + (SELECT count(*) FROM register_reading WHERE wh < 0) + (SELECT count(*) FROM daily_by_class WHERE wh < 0)";
    CHECK_OWNERS =
        "SELECT count(*) FROM (
            SELECT l.meter, k.source FROM load_curve l LEFT JOIN interval_kind k ON k.id = l.kind UNION SELECT meter, source FROM daily_energy
            UNION SELECT meter, source FROM max_power UNION SELECT meter, NULL FROM coverage
            UNION SELECT meter, source FROM register_reading UNION SELECT meter, NULL FROM daily_by_class
            UNION SELECT meter, source FROM raw_answer
         ) r WHERE r.meter NOT IN (SELECT id FROM meter) OR r.source NOT IN (SELECT id FROM source)";
    // Of days: how many, and the newest of them by meter and dataset.
    CHECK_CURVE_COUNTS =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v JOIN dataset d ON d.id = v.dataset AND d.curve = 1
         JOIN calendar c ON c.day = v.day
         WHERE v.stored <> (
            SELECT count(*) FROM load_curve l WHERE l.meter = v.meter AND l.direction = d.direction
              AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes)
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    CHECK_CURVE_TILES =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v JOIN dataset d ON d.id = v.dataset AND d.curve = 1
         JOIN calendar c ON c.day = v.day
         WHERE v.state = 0 AND c.minutes <> coalesce((
            SELECT sum(k.minutes) FROM load_curve l CROSS JOIN interval_kind k ON k.id = l.kind WHERE l.meter = v.meter AND l.direction = d.direction
              AND l.start >= c.starts_epoch AND l.start < c.starts_epoch + 60 * c.minutes
              AND l.start + 60 * k.minutes <= c.starts_epoch + 60 * c.minutes), 0)
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    CHECK_CURVE_UNKNOWN =
        "SELECT count(*) FROM (
            SELECT DISTINCT l.meter, l.direction, (l.start + 3600 * (1 + k.summer)) / 86400 AS day
            FROM load_curve l JOIN interval_kind k ON k.id = l.kind
         ) l WHERE NOT EXISTS (
            SELECT 1 FROM coverage v WHERE v.meter = l.meter AND v.dataset = l.direction + 1 AND v.day = l.day)";
    CHECK_DAILY_COUNTS =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v
         WHERE (v.dataset IN (3, 4) AND v.stored <> EXISTS (
                SELECT 1 FROM daily_energy e
                WHERE e.meter = v.meter AND e.direction = v.dataset - 3 AND e.day = v.day))
            OR (v.dataset = 5 AND v.stored <> EXISTS (
                SELECT 1 FROM max_power x WHERE x.meter = v.meter AND x.day = v.day))
            OR (v.dataset IN (3, 4, 5) AND v.state = 0 AND v.stored <> 1)
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    /// A snapshot may be stamped up to two hours beside its midnight.
    CHECK_REGISTERS =
        "SELECT count(*) OVER (), (SELECT name FROM meter n WHERE n.id = v.meter),
                (SELECT name FROM dataset n WHERE n.id = v.dataset), v.day
         FROM coverage v JOIN calendar c ON c.day = v.day
         WHERE v.dataset IN (6, 7) AND ((v.state = 0 AND v.stored <> 1) OR (v.stored = 1 AND NOT EXISTS (
            SELECT 1 FROM register_reading r
            WHERE r.meter = v.meter AND r.direction = v.dataset - 6 AND r.daily = 1
              AND r.read_at BETWEEN c.starts_epoch - 7200 AND c.starts_epoch + 7200)))
         ORDER BY v.day DESC, v.meter, v.dataset LIMIT 1";
    /// Energy that does not follow from the registers of its class at the two midnights.
    CHECK_BY_CLASS =
        "SELECT count(*) FROM daily_by_class b JOIN calendar c ON c.day = b.day
         WHERE NOT EXISTS (
            SELECT 1 FROM register_reading r
            WHERE r.meter = b.meter AND r.direction = b.direction AND r.daily = 1
              AND r.calendar = b.calendar AND r.tariff_class = b.tariff_class
              AND r.read_at BETWEEN c.starts_epoch - 7200 AND c.starts_epoch + 7200)
            OR NOT EXISTS (
            SELECT 1 FROM register_reading r
            WHERE r.meter = b.meter AND r.direction = b.direction AND r.daily = 1
              AND r.calendar = b.calendar AND r.tariff_class = b.tariff_class
              AND r.read_at BETWEEN c.starts_epoch + 60 * c.minutes - 7200 AND c.starts_epoch + 60 * c.minutes + 7200)";
    CHECK_CONTRACTS =
        "SELECT count(*) FROM contract WHERE subscribed_va < 0 OR valid_from > learnt_at / 86400 + 1";
    CHECK_CALENDAR = "SELECT day, iso, starts_epoch, minutes FROM calendar ORDER BY day";

    // Every value of a series, for comparing and exporting.
    CURVE_READINGS =
        "SELECT l.start, k.minutes, l.watts
         FROM meter m CROSS JOIN load_curve l ON l.meter = m.id CROSS JOIN interval_kind k ON k.id = l.kind
         WHERE m.prm = ?1 AND l.direction = ?2 ORDER BY l.start";
    DAILY_READINGS =
        "SELECT e.day, e.wh FROM daily_energy e JOIN meter m ON m.id = e.meter
         WHERE m.prm = ?1 AND e.direction = ?2 ORDER BY e.day";
    PEAK_READINGS =
        "SELECT x.day, x.va, x.local_seconds, x.at FROM max_power x JOIN meter m ON m.id = x.meter
         WHERE m.prm = ?1 ORDER BY x.day";
    REGISTER_READINGS =
        "SELECT r.read_at, r.calendar, r.register, r.tariff_class, r.daily, r.wh
         FROM register_reading r JOIN meter m ON m.id = r.meter
         WHERE m.prm = ?1 AND r.direction = ?2 ORDER BY r.read_at, r.calendar, r.register, r.tariff_class";
}
