//! From the text to the hours. A line is a few groups, each some words and then slots in brackets;
//! the words must be ones that are known, and everything between slots must be a sign that
//! separates them. Nothing is skipped.

use super::{DAY, Hours, OffPeak, Slot};

/// A text about off-peak hours whose meaning is not certain. It holds no text: what it is about is kept
/// whole beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum NotUnderstood {
    /// There is something other than slots and the known words.
    #[error("words or signs whose meaning is not known")]
    Words,
    /// A time of the day that does not exist, or a slot that begins and ends at the same minute.
    #[error("a time of the day that cannot be")]
    Time,
    /// One season is given without the other, or one of them twice.
    #[error("hours of one season only, or twice of the same")]
    Seasons,
}

/// What the words before some slots say about when these hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    AllYear,
    Summer,
    Winter,
}

impl OffPeak {
    /// Reads Enedis' text. `None` where it says that there are none: an empty text, as for contracts
    /// whose price is the same all day.
    ///
    /// Capitals, accents and spaces do not matter; an hour needs no minutes; slots may go over midnight.
    pub fn parse(text: &str) -> Result<Option<Self>, NotUnderstood> {
        let text = plain(text);
        if text.is_empty() {
            return Ok(None);
        }
        let (mut year, mut summer, mut winter) = (None, None, None);
        for group in groups(&text)? {
            let (when, hours) = group?;
            let place = match when {
                When::AllYear => &mut year,
                When::Summer => &mut summer,
                When::Winter => &mut winter,
            };
            if place.replace(hours).is_some() {
                return Err(NotUnderstood::Seasons);
            }
        }
        match (year, summer, winter) {
            (Some(hours), None, None) => Ok(Some(Self::all_year(hours))),
            (None, Some(summer), Some(winter)) => Ok(Some(Self::seasonal(summer, winter))),
            _ => Err(NotUnderstood::Seasons),
        }
    }
}

/// The text in capitals without accents or spaces at its ends.
fn plain(text: &str) -> String {
    let letter = |letter: char| match letter {
        'à' | 'â' | 'À' | 'Â' => 'A',
        'é' | 'è' | 'ê' | 'É' | 'È' | 'Ê' => 'E',
        '\u{2010}'..='\u{2015}' => '-',
        other if other.is_whitespace() => ' ',
        other => other.to_ascii_uppercase(),
    };
    text.trim().chars().map(letter).collect()
}

type Group = Result<(When, Hours), NotUnderstood>;

/// The groups of a line: words, then slots in brackets. A line without brackets is one group of slots.
fn groups(text: &str) -> Result<impl Iterator<Item = Group>, NotUnderstood> {
    let mut found = Vec::new();
    let mut rest = text;
    if !text.contains(['(', ')']) {
        let words = text.find(|c: char| c.is_ascii_digit()).ok_or(NotUnderstood::Words)?;
        let (words, slots) = text.split_at(words);
        found.push((words, slots));
        rest = "";
    }
    while !rest.is_empty() {
        let (words, after) = rest.split_once('(').ok_or(NotUnderstood::Words)?;
        let (slots, after) = after.split_once(')').ok_or(NotUnderstood::Words)?;
        found.push((words, slots));
        rest = after.trim_start_matches([' ', ';', ',', '/']);
    }
    Ok(found.into_iter().map(|(words, text)| Ok((when(words)?, slots(text)?))))
}

/// What the words before some slots mean.
fn when(words: &str) -> Result<When, NotUnderstood> {
    let mut when = When::AllYear;
    let mut words = words.split([' ', ':']).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let season = match word {
            "HC" => continue,
            "HEURES" if words.next_if_eq(&"CREUSES").is_some() => continue,
            "ETE" => When::Summer,
            "HIVER" => When::Winter,
            "SAISON" if words.next_if_eq(&"BASSE").is_some() => When::Summer,
            "SAISON" if words.next_if_eq(&"HAUTE").is_some() => When::Winter,
            _ => return Err(NotUnderstood::Words),
        };
        if when != When::AllYear {
            return Err(NotUnderstood::Seasons);
        }
        when = season;
    }
    Ok(when)
}

/// Slots separated by `;`, `,`, `/` or `ET`.
fn slots(text: &str) -> Result<Hours, NotUnderstood> {
    let text = text.replace(" ET ", ";");
    let slots: Vec<Slot> = text.split([';', ',', '/']).map(slot).collect::<Result<_, _>>()?;
    Hours::of(&slots).ok_or(NotUnderstood::Words)
}

/// A slot: two times with a dash, or `A` or `->`, in between.
fn slot(text: &str) -> Result<Slot, NotUnderstood> {
    let (from, to) = text
        .split_once("->")
        .or_else(|| text.split_once('-'))
        .or_else(|| text.split_once(" A "))
        .ok_or(NotUnderstood::Words)?;
    let (from, to) = (time(from)?, time(to)?);
    // From a minute to the same one can be a whole day or nothing.
    if from == to || from == DAY {
        return Err(NotUnderstood::Time);
    }
    let minutes = if to > from { to - from } else { to + DAY - from };
    Slot::new(from, minutes).ok_or(NotUnderstood::Time)
}

/// A time of the day in minutes: `6H`, `6H30`, `06:30`, `22H30MN`; 24H00 is its end.
fn time(text: &str) -> Result<u16, NotUnderstood> {
    let text = text.trim();
    let text = text.strip_suffix("MIN").or_else(|| text.strip_suffix("MN")).unwrap_or(text);
    let (hours, minutes) = text.split_once(['H', ':']).ok_or(NotUnderstood::Words)?;
    let number = |digits: &str| -> Result<u16, NotUnderstood> {
        let digits = digits.trim();
        let plausible = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if plausible { digits.parse().map_err(|_| NotUnderstood::Words) } else { Err(NotUnderstood::Words) }
    };
    let hours = number(hours)?;
    let minutes = if minutes.trim().is_empty() { 0 } else { number(minutes)? };
    let time = 60 * hours + minutes;
    if minutes < 60 && time <= DAY { Ok(time) } else { Err(NotUnderstood::Time) }
}
