mod split;

use proptest::prelude::*;

use super::*;

fn hours(slots: &[(u16, u16)]) -> Hours {
    let slots: Vec<Slot> = slots.iter().map(|(from, minutes)| Slot::new(*from, *minutes).unwrap()).collect();
    Hours::of(&slots).unwrap()
}

fn parsed(text: &str) -> Hours {
    let both = OffPeak::parse(text).unwrap().unwrap();
    assert_eq!(both.hours(Season::Summer), both.hours(Season::Winter), "{text}");
    both.hours(Season::Summer).clone()
}

const NIGHT: (u16, u16) = (22 * 60 + 30, 8 * 60);

#[test]
fn every_known_form_is_understood() {
    for text in [
        "HC (22H30-6H30)",
        "hc (22h30-06h30)",
        " HC(22H30 - 6H30) ",
        "HC (22:30-06:30)",
        "22:30-06:30",
        "22H30-6H30",
        "HC : 22h30 à 6h30",
        "HC (22H30 À 6H30)",
        "HC (22H30 a 6H30)",
        "HC 22H30->6H30",
        "HC (22H30\u{2013}6H30)",
        "Heures creuses (22H30-6H30)",
        "HC (22H30MN-6H30MN)",
    ] {
        assert_eq!(parsed(text), hours(&[NIGHT]), "{text}");
    }
    for text in ["HC (1H28-6H58;13H58-16H28)", "HC (13H58-16H28;1H28-6H58)", "HC (1H28-6H58 et 13H58-16H28)"] {
        assert_eq!(parsed(text), hours(&[(88, 330), (838, 150)]), "{text}");
    }
    assert_eq!(parsed("HC (2H-7H;23h00-24H00)"), hours(&[(120, 300), (1380, 60)]));
    assert_eq!(parsed("HC (0H00-24H00)"), hours(&[(0, 1440)]));
    assert_eq!(parsed("HC (22H00-0H00;0H00-6H00)"), hours(&[(1320, 480)]), "what touches is one slot");
}

#[test]
fn seasons_have_hours_of_their_own() {
    let expected = OffPeak::seasonal(hours(&[(120, 300), (660, 360)]), hours(&[NIGHT]));
    for text in [
        "HC ETE (2H00-7H00;11H00-17H00) HC HIVER (22H30-6H30)",
        "HC hiver (22H30-6H30); HC été (2H00-7H00;11H00-17H00)",
        "HC saison basse (2H-7H;11H-17H) HC saison haute (22H30-6H30)",
    ] {
        assert_eq!(OffPeak::parse(text), Ok(Some(expected.clone())), "{text}");
    }
    let day = |month| NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
    let winter = (1..=12).filter(|month| Season::of(day(*month)) == Season::Winter);
    assert_eq!(winter.collect::<Vec<u32>>(), [1, 2, 3, 11, 12]);
}

#[test]
fn no_hours_are_no_error() {
    assert_eq!(OffPeak::parse(""), Ok(None));
    assert_eq!(OffPeak::parse("  "), Ok(None));
}

#[test]
fn nothing_is_guessed() {
    use NotUnderstood::{Seasons, Time, Words};
    for (text, why) in [
        ("HC", Words),
        ("HC ()", Words),
        ("HC (22H30-6H30", Words),
        ("HC (22H30)", Words),
        ("HC (nuit)", Words),
        ("HP (6H30-22H30)", Words),
        ("HC week-end (0H00-24H00)", Words),
        ("HC (22H30-6H30) sauf dimanche", Words),
        ("HC (lundi 22H30-6H30)", Words),
        ("HC (222H30-6H30)", Words),
        ("HC (22H30-6H30-8H00)", Words),
        ("HC (+2H30-6H30)", Words),
        ("HC (25H00-6H30)", Time),
        ("HC (22H60-6H30)", Time),
        ("HC (24H30-6H30)", Time),
        ("HC (0H00-0H00)", Time),
        ("HC (24H00-6H00)", Time),
        ("HC ETE (22H30-6H30)", Seasons),
        ("HC (22H30-6H30) HC (1H00-2H00)", Seasons),
        ("HC ETE HIVER (22H30-6H30)", Seasons),
        ("HC ETE (1H-2H) HC ETE (3H-4H)", Seasons),
        ("HC ETE (1H-2H) HC HIVER (3H-4H) HC (5H-6H)", Seasons),
    ] {
        assert_eq!(OffPeak::parse(text), Err(why), "{text}");
    }
}

#[test]
fn a_time_is_off_peak_from_the_beginning_of_a_slot_to_before_its_end() {
    let night = hours(&[NIGHT]);
    let at = |hour, minute, second| night.hold(NaiveTime::from_hms_opt(hour, minute, second).unwrap());
    assert!(!at(22, 29, 59) && at(22, 30, 0) && at(0, 0, 0) && at(6, 29, 59) && !at(6, 30, 0));
}

/// Hours of any slots.
fn any_hours() -> impl Strategy<Value = Hours> {
    let slot = (0..DAY, 1..=DAY).prop_map(|(from, minutes)| Slot::new(from, minutes).unwrap());
    prop::collection::vec(slot, 1..6).prop_map(|slots| Hours::of(&slots).unwrap())
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_again(summer in any_hours(), winter in any_hours(), seasonal: bool) {
        let hours = if seasonal { OffPeak::seasonal(summer, winter) } else { OffPeak::all_year(summer) };
        prop_assert_eq!(OffPeak::parse(&hours.to_string()), Ok(Some(hours)));
    }

    #[test]
    fn slots_taken_together_hold_the_same_minutes(
        slots in prop::collection::vec((0..DAY, 1..=DAY), 1..6),
        minute in 0..DAY,
    ) {
        let slots: Vec<Slot> = slots.into_iter().map(|(from, minutes)| Slot::new(from, minutes).unwrap()).collect();
        let merged = Hours::of(&slots).unwrap();
        let time = NaiveTime::from_num_seconds_from_midnight_opt(u32::from(minute) * 60, 0).unwrap();
        prop_assert_eq!(merged.hold(time), slots.iter().any(|slot| slot.holds(minute)));
        for pair in merged.slots().windows(2) {
            prop_assert!(pair[0].from() + pair[0].minutes() < pair[1].from(), "apart and in order");
        }
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC*") {
        let _ = OffPeak::parse(&text);
    }
}
