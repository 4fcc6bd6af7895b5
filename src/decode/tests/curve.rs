//! Load curves: one test for each rule of docs/time.md.

use super::*;

/// The curve of one day as `HH:MMz minutes watts` in UTC, and the oddities.
fn curve(on: &str, points: &[(&str, &str, &str)]) -> (Vec<String>, Vec<(&'static str, u32)>) {
    let points: Vec<(&str, String, &str)> = points
        .iter()
        .map(|(v, time, p)| (*v, if time.len() <= 8 { format!("{on} {time}") } else { (*time).to_owned() }, *p))
        .collect();
    let points: Vec<(&str, &str, &str)> = points.iter().map(|(v, d, p)| (*v, d.as_str(), *p)).collect();
    let decoded = ask(Api::V2026, Dataset::ConsumptionLoadCurve, Days::single(day(on)), &body(&points)).unwrap();
    (shown(&decoded), odd(&decoded))
}

const P: &str = "PT30M";
const NONE: &[(&str, u32)] = &[];

#[test]
fn a_label_is_the_end_and_midnight_belongs_to_the_day_before() {
    let (points, odd) =
        curve("2026-11-03", &[("412", "00:30:00", P), ("388", "01:00:00", P), ("296", "2026-11-04 00:00:00", P)]);
    assert_eq!(points, ["23:00z 30 412", "23:30z 30 388", "22:30z 30 296"]);
    assert_eq!(odd, NONE);
}

#[test]
fn values_are_strict_and_nothing_becomes_zero() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("0", "01:00:00", P),
            ("null", "01:30:00", P),
            ("", "02:00:00", P),
            ("-", "02:30:00", P),
            ("NaN", "03:00:00", P),
            ("-1", "03:30:00", P),
            ("1e400", "04:00:00", P),
            ("9000000000000000000", "04:30:00", P),
            ("12.5", "05:00:00", P),
            ("1 234", "05:30:00", P),
        ],
    );
    assert_eq!(points, ["23:30z 30 0"]);
    assert_eq!(odd, [("bad_value", 6)]);
    let decoded = ask(
        Api::V2026,
        Dataset::ConsumptionLoadCurve,
        Days::single(day("2026-11-03")),
        &body(&[("null", "2026-11-03 01:00:00", P)]),
    );
    let decoded = decoded.unwrap();
    assert_eq!((decoded.missing, decoded.nothing, decoded.values.is_empty()), (1, true, true));
}

#[test]
fn a_number_beyond_all_bounds_costs_its_own_reading_only() {
    let text = body(&[("1", "2026-11-03 01:00:00", P), ("77", "2026-11-03 01:30:00", P)]);
    for absurd in ["1e400", "-1E+999", "123456789e99999", "0.1e500"] {
        let text = text.replace(r#""77""#, absurd);
        let decoded = ask(Api::V2026, Dataset::ConsumptionLoadCurve, Days::single(day("2026-11-03")), &text).unwrap();
        assert_eq!((shown(&decoded), odd(&decoded)), (vec!["23:30z 30 1".to_owned()], vec![("bad_value", 1)]));
    }
}

#[test]
fn spring_skips_an_hour_and_fillers_are_dropped() {
    let regular: &[(&str, &str, &str)] = &[("1", "01:30:00", P), ("2", "03:00:00", P), ("3", "03:30:00", P)];
    let filled: &[(&str, &str, &str)] = &[
        ("1", "01:30:00", P),
        ("null", "02:00:00", P),
        ("0", "02:30:00", P),
        ("2", "03:00:00", P),
        ("3", "03:30:00", P),
    ];
    for points in [regular, filled] {
        let (points, odd) = curve("2026-03-29", points);
        assert_eq!(points, ["00:00z 30 1", "00:30z 30 2", "01:00z 30 3"]);
        assert_eq!(odd, NONE);
    }
}

#[test]
fn a_skipped_time_with_a_value_is_standard_time_where_that_is_free() {
    let (points, odd) = curve("2026-03-29", &[("1", "01:30:00", P), ("9", "02:00:00", P), ("3", "03:30:00", P)]);
    assert_eq!(points, ["00:00z 30 1", "00:30z 30 9", "01:00z 30 3"]);
    assert_eq!(odd, [("dst_nonexistent", 1)]);
    let (points, odd) = curve("2026-03-29", &[("1", "01:30:00", P), ("9", "02:00:00", P), ("2", "03:00:00", P)]);
    assert_eq!(points, ["00:00z 30 1", "00:30z 30 2"]);
    assert_eq!(odd, [("dst_nonexistent", 1)]);
    let (points, _) = curve("2026-03-29", &[("9", "02:00:00", "PT60M"), ("2", "03:00:00", P)]);
    assert_eq!(points, ["00:30z 30 2"], "an overlap is not free");
}

#[test]
fn the_autumn_hour_comes_twice() {
    let whole = ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "00:30z 30 4", "01:00z 30 5", "01:30z 30 6"];
    let in_order: &[(&str, &str, &str)] = &[
        ("1", "01:30:00", P),
        ("2", "02:00:00", P),
        ("3", "02:30:00", P),
        ("4", "02:00:00", P),
        ("5", "02:30:00", P),
        ("6", "03:00:00", P),
    ];
    let interleaved: &[(&str, &str, &str)] = &[
        ("1", "01:30:00", P),
        ("2", "02:00:00", P),
        ("4", "02:00:00", P),
        ("3", "02:30:00", P),
        ("5", "02:30:00", P),
        ("6", "03:00:00", P),
    ];
    let offsets: &[(&str, &str, &str)] = &[
        ("6", "2026-10-25T03:00:00+01:00", P),
        ("5", "2026-10-25T02:30:00+01:00", P),
        ("2", "2026-10-25T02:00:00+02:00", P),
        ("4", "2026-10-25T02:00:00+0100", P),
        ("3", "2026-10-25T00:30:00Z", P),
        ("1", "2026-10-25T01:30:00+02:00", P),
    ];
    let mut descending = in_order.to_vec();
    descending.reverse();
    for points in [in_order, interleaved, offsets, &descending] {
        let (points, odd) = curve("2026-10-25", points);
        assert_eq!(points, whole);
        assert_eq!(odd, NONE);
    }
}

#[test]
fn equal_values_in_both_passes_are_two_readings() {
    let zeros: Vec<_> =
        ["01:30:00", "02:00:00", "02:30:00", "02:00:00", "02:30:00", "03:00:00"].map(|t| ("0", t, P)).into();
    assert_eq!(curve("2026-10-25", &zeros).0.len(), 6);
}

#[test]
fn a_label_without_a_value_still_shows_which_pass_it_was() {
    let (points, odd) = curve("2026-10-25", &[("null", "02:00:00", P), ("4", "02:00:00", P), ("6", "03:00:00", P)]);
    assert_eq!(points, ["00:30z 30 4", "01:30z 30 6"]);
    assert_eq!(odd, NONE);
}

#[test]
fn a_label_that_came_once_goes_where_the_step_is_regular() {
    // The first pass is a hole: only the later instants continue up to 03:00.
    let (points, odd) =
        curve("2026-10-25", &[("0", "01:00:00", P), ("4", "02:00:00", P), ("5", "02:30:00", P), ("6", "03:00:00", P)]);
    assert_eq!(points, ["22:30z 30 0", "00:30z 30 4", "01:00z 30 5", "01:30z 30 6"]);
    assert_eq!(odd, NONE);
    // The second pass is a hole, and so is 03:00.
    let (points, odd) =
        curve("2026-10-25", &[("1", "01:30:00", P), ("2", "02:00:00", P), ("3", "02:30:00", P), ("7", "03:30:00", P)]);
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "02:00z 30 7"]);
    assert_eq!(odd, NONE);
    // Order alone: the second 02:00 comes after the first 02:30.
    let (points, odd) = curve("2026-10-25", &[("3", "02:30:00", P), ("4", "02:00:00", P), ("5", "02:30:00", P)]);
    assert_eq!(points, ["00:00z 30 3", "00:30z 30 4", "01:00z 30 5"]);
    assert_eq!(odd, NONE);
}

#[test]
fn an_hour_sent_once_is_the_first_and_doubtful() {
    let (points, odd) =
        curve("2026-10-25", &[("1", "01:30:00", P), ("2", "02:00:00", P), ("3", "02:30:00", P), ("6", "03:00:00", P)]);
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "01:30z 30 6"]);
    assert_eq!(odd, [("dst_ambiguous", 2)]);
    let hourly = [("1", "01:00:00", "PT60M"), ("2", "02:00:00", "PT60M"), ("3", "03:00:00", "PT60M")];
    let (points, odd) = curve("2026-10-25", &hourly);
    assert_eq!(points, ["22:00z 60 1", "23:00z 60 2", "01:00z 60 3"]);
    assert_eq!(odd, [("dst_ambiguous", 1)]);
}

#[test]
fn copies_of_the_autumn_hour_collapse() {
    let pass = [("2", "02:00:00", P), ("3", "02:30:00", P), ("4", "02:00:00", P), ("5", "02:30:00", P)];
    let whole = ["23:30z 30 2", "00:00z 30 3", "00:30z 30 4", "01:00z 30 5"];
    let each_line_twice: Vec<_> = pass.iter().flat_map(|p| [*p, *p]).collect();
    let (points, odd) = curve("2026-10-25", &each_line_twice);
    assert_eq!((points, odd), (whole.map(str::to_owned).to_vec(), NONE.to_vec()));
    let twice_over: Vec<_> =
        [("1", "01:30:00", P)].iter().chain(&pass).chain(&[("1", "01:30:00", P)]).chain(&pass).copied().collect();
    let (points, odd) = curve("2026-10-25", &twice_over);
    assert_eq!((points[1..].to_vec(), odd), (whole.map(str::to_owned).to_vec(), NONE.to_vec()));
}

#[test]
fn copies_are_dropped_and_of_two_values_the_last_is_kept() {
    let (points, odd) = curve("2026-11-03", &[("1", "01:00:00", P), ("1", "01:00:00", P), ("2", "01:30:00", P)]);
    assert_eq!((points.len(), odd), (2, NONE.to_vec()));
    let (points, odd) = curve("2026-11-03", &[("2", "01:30:00", P), ("1", "01:00:00", P), ("7", "01:30:00", P)]);
    assert_eq!(points, ["23:30z 30 1", "00:00z 30 7"]);
    assert_eq!(odd, [("duplicate_conflict", 1)]);
}

#[test]
fn what_was_not_asked_for_is_dropped() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("1", "2026-11-03 00:00:00", P),
            ("2", "00:30:00", P),
            ("3", "2026-11-04 00:00:00", P),
            ("4", "2026-11-04 00:30:00", P),
            ("5", "2025-11-03 12:00:00", P),
            ("6", "2199-01-01 12:00:00", P),
        ],
    );
    assert_eq!(points, ["23:00z 30 2", "22:30z 30 3"]);
    assert_eq!(odd, [("outside", 4)]);
}

#[test]
fn each_point_has_its_own_step_and_none_overlap() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("1", "07:30:00", P),
            ("2", "08:00:00", P),
            ("3", "08:15:00", "PT15M"),
            ("4", "09:15:00", "PT1H"),
            ("5", "09:30:00", P),
        ],
    );
    assert_eq!(points, ["06:00z 30 1", "06:30z 30 2", "07:00z 15 3", "08:00z 30 5"]);
    assert_eq!(odd, [("off_grid", 1)]);
    let (points, odd) = curve(
        "2026-11-03",
        &[("1", "08:00:00", P), ("2", "08:30:00", "PT60M"), ("3", "09:00:00", "PT60M"), ("4", "08:40:00", "PT10M")],
    );
    assert_eq!(points, ["06:30z 30 1", "07:00z 60 3"]);
    assert_eq!(odd, [("overlap", 1), ("off_grid", 1)]);
}

#[test]
fn an_unknown_step_is_never_guessed() {
    for step in ["PT7M", "P1D", "PT90M", "30", "PT0M"] {
        let (points, odd) = curve("2026-11-03", &[("1", "00:30:00", P), ("2", "01:00:00", step), ("3", "01:30:00", P)]);
        assert_eq!(points, ["23:00z 30 1", "00:00z 30 3"], "{step}");
        assert_eq!(odd, [("step_unknown", 1)]);
    }
}

#[test]
fn an_absent_step_is_inferred_where_both_sides_agree() {
    let (points, odd) = curve(
        "2026-11-03",
        &[
            ("1", "00:30:00", "-"),
            ("2", "01:00:00", "null"),
            ("3", "01:30:00", ""),
            ("4", "02:30:00", "-"),
            ("5", "03:00:00", "-"),
            ("6", "03:30:00", "-"),
        ],
    );
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "01:30z 30 5", "02:00z 30 6"]);
    assert_eq!(odd, [("step_unknown", 2)]);
    let (points, odd) = curve("2026-11-03", &[("1", "12:00:00", "-")]);
    assert_eq!((points, odd), (vec![], vec![("step_unknown", 1)]));
    let (points, odd) = curve("2026-11-03", &[("1", "00:07:00", "-"), ("2", "00:14:00", "-"), ("3", "00:21:00", "-")]);
    assert_eq!((points, odd), (vec![], vec![("step_unknown", 3)]));
}

#[test]
fn labels_off_the_grid_are_no_energy() {
    let (points, odd) =
        curve("2026-11-03", &[("1", "12:00:00", P), ("2", "12:14:10", P), ("3", "12:20:00", P), ("4", "12:30:00", P)]);
    assert_eq!(points, ["10:30z 30 1", "11:00z 30 4"]);
    assert_eq!(odd, [("off_grid", 2)]);
}

#[test]
fn labels_that_are_none_cost_their_reading() {
    let (points, odd) = curve(
        "2026-11-03",
        &[("1", "2026-11-03", P), ("2", "99:99", P), ("3", "null", P), ("4", "-", P), ("5", "12:00:00", P)],
    );
    assert_eq!(points, ["10:30z 30 5"]);
    assert_eq!(odd, [("bad_stamp", 4)]);
}

/// Answers labelled with starts, `v d p` each, of one day.
fn started(on: &str, points: &[(&str, &str, &str)]) -> (Vec<String>, Vec<(&'static str, u32)>) {
    let prm: Prm = PRM.parse().unwrap();
    let (label, dataset, days) = (Label::Start, Dataset::ConsumptionLoadCurve, Days::single(day(on)));
    let what = Expected { api: Api::V2026, label, dataset, prm: &prm, days };
    let decoded = decode(body(points).as_bytes(), &what).unwrap();
    (shown(&decoded), odd(&decoded))
}

#[test]
fn a_start_label_is_the_end_less_the_length() {
    let (points, odd) = started(
        "2026-11-03",
        &[
            ("1", "2026-11-02 23:30:00", P),
            ("2", "2026-11-03 00:00:00", P),
            ("3", "2026-11-03 00:30:00", "PT15M"),
            ("4", "2026-11-03 23:30:00", P),
            ("5", "2026-11-04 00:00:00", P),
        ],
    );
    assert_eq!(points, ["23:00z 30 2", "23:30z 15 3", "22:30z 30 4"]);
    assert_eq!(odd, [("outside", 2)]);
}

#[test]
fn start_labels_that_never_were_are_understood() {
    // In spring the interval before the change is labelled with a time that was skipped.
    let spring: &[(&str, &str, &str)] =
        &[("1", "2026-03-29 01:00:00", P), ("2", "2026-03-29 02:30:00", P), ("3", "2026-03-29 03:00:00", P)];
    let (points, odd) = started("2026-03-29", spring);
    assert_eq!((points, odd), (["00:00z 30 1", "00:30z 30 2", "01:00z 30 3"].map(str::to_owned).to_vec(), vec![]));
    // In autumn one before the hour that comes twice comes twice, and the last of that hour once; a
    // gateway may have sorted them.
    let whole = ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3", "00:30z 30 4", "01:00z 30 5", "01:30z 30 6"];
    let in_time = ["01:00", "01:30", "02:00", "01:30", "02:00", "02:30"];
    let sorted = [("1", "01:00"), ("2", "01:30"), ("4", "01:30"), ("3", "02:00"), ("5", "02:00"), ("6", "02:30")];
    let values = ["1", "2", "3", "4", "5", "6"];
    let in_time: Vec<(&str, &str)> = values.into_iter().zip(in_time).collect();
    for labels in [in_time, sorted.to_vec()] {
        let labels: Vec<(&str, String)> = labels.iter().map(|(v, t)| (*v, format!("2026-10-25 {t}:00"))).collect();
        let points: Vec<(&str, &str, &str)> = labels.iter().map(|(v, d)| (*v, d.as_str(), P)).collect();
        assert_eq!(started("2026-10-25", &points), (whole.map(str::to_owned).to_vec(), vec![]), "{points:?}");
    }
}

#[test]
fn a_point_without_a_length_is_labelled_with_its_end() {
    let (points, odd) = started(
        "2026-11-03",
        &[("1", "2026-11-03 00:30:00", "-"), ("2", "2026-11-03 01:00:00", "-"), ("3", "2026-11-03 01:00:00", P)],
    );
    assert_eq!(points, ["23:00z 30 1", "23:30z 30 2", "00:00z 30 3"]);
    assert_eq!(odd, NONE);
}
