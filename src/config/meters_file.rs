//! `meters_file`: meters as a table, for those who have more of them than anybody wants to write
//! blocks for.
//!
//! The columns are the keys of `[[meter]]`; each line is read as a block would be, by the same
//! code. Such tables come out of spreadsheets, so what spreadsheets do to them is accepted where
//! it does no harm (a mark at the front, `;` or tabs between cells, line ends of any kind, capital
//! letters and blanks around names) and explained where it does (zeros taken off, numbers that
//! became powers of ten).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};

use super::explain::{Lines, Origin, meant, quoted};
use super::meter::{self, Placed};
use super::read::{Fields, Found, Reader, Table};
use super::schema;

/// What stands between the elements of a list inside a cell.
const BETWEEN: char = '|';

/// A larger file is no table of meters.
const LARGEST: u64 = 64 << 20;

/// Where the file is that the configuration names. A relative path counts from the folder of the
/// configuration file; in a variable, like all paths there, from the working directory.
pub(super) fn path(top: &Table<'_>) -> Option<Found<PathBuf>> {
    let found = top.filled(schema::METERS_FILE)?;
    let named = PathBuf::from(found.value);
    let value = match &found.origin {
        Origin::File { path, .. } => path.parent().map_or(named.clone(), |folder| folder.join(&named)),
        _ => named,
    };
    Some(Found { value, origin: found.origin })
}

/// The meters of the file, in its order; `None` for lines that are not sound. `before` is how many
/// meters stand in blocks, `sources` are the names under `[source]`.
pub(super) fn meters(
    top: &Table<'_>,
    file: Option<&Found<PathBuf>>,
    before: usize,
    sources: &[String],
) -> Option<Vec<Option<Placed>>> {
    let Some(Found { value: path, origin }) = file else { return Some(Vec::new()) };
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => {
            let what = match error.kind() {
                io::ErrorKind::NotFound => "is not there; mend the path or create it".to_owned(),
                io::ErrorKind::InvalidData => format!("cannot be read: {error}"),
                _ => format!("cannot be read ({error}); let the user that runs linkyd read it"),
            };
            top.reader.problem(origin, &format!("meters_file: {} {what}", path.display()));
            return None;
        }
    };
    Sheet { reader: top.reader, path, text: &text }.meters(before, sources)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if bytes.len() as u64 > LARGEST {
        return refuse("it is larger than 64 MiB");
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return refuse("it is UTF-16; save it as CSV in UTF-8");
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = Lines::of(good).at(good.len());
            return refuse(&format!("line {line} is not UTF-8; save it as CSV in UTF-8"));
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // One kind of line end, so that lines are counted as an editor counts them.
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// The text of the file while it is being read.
struct Sheet<'a> {
    reader: &'a Reader<'a>,
    path: &'a Path,
    text: &'a str,
}

impl Sheet<'_> {
    fn meters(&self, before: usize, sources: &[String]) -> Option<Vec<Option<Placed>>> {
        let lines = Lines::of(self.text.as_bytes());
        let mut csv = ReaderBuilder::new()
            .delimiter(between_cells(self.text))
            .has_headers(false)
            .flexible(true)
            .from_reader(self.text.as_bytes());
        let mut cells = StringRecord::new();
        let mut columns = None;
        let mut meters = Vec::new();
        loop {
            let from = csv.position().byte();
            match csv.read_record(&mut cells) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // The text is UTF-8 and lines may differ in length, so nothing is left to fail.
                    self.problem(self.line(&lines, from), &format!("cannot be read: {error}"));
                    return None;
                }
            }
            let line = self.line(&lines, from);
            let Some(columns) = &columns else {
                columns = Some(self.columns(line, &cells)?);
                continue;
            };
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            meters.push(if self.is_regular(line, columns, &cells) {
                let row = Row {
                    sheet: self,
                    columns,
                    cells: &cells,
                    origin: self.origin(line),
                    index: before + meters.len(),
                };
                meter::one(&row, sources)
            } else {
                None
            });
        }
        if columns.is_none() {
            self.problem(1, &format!("is empty; its first line names the columns: {}", schema::METER_KEYS.join(",")));
            return None;
        }
        Some(meters)
    }

    /// Which key each column is, from the first line.
    fn columns(&self, line: usize, cells: &StringRecord) -> Option<Vec<Option<&'static str>>> {
        let mut columns: Vec<Option<&'static str>> = Vec::new();
        let mut sound = true;
        for (index, cell) in cells.iter().enumerate() {
            let name = cell.trim().to_lowercase();
            let column = schema::METER_KEYS.into_iter().find(|key| *key == name);
            let place = format!("column {}", index + 1);
            let complaint = match column {
                Some(key) if columns.contains(&column) => format!("{place}: there is a column {key:?} already"),
                None if name.bytes().filter(u8::is_ascii_digit).count() > 9 => {
                    let all = schema::METER_KEYS.join(",");
                    format!("{place} is a meter already; the first line has to name the columns: {all}")
                }
                None if !name.is_empty() => {
                    let meant = meant(&name, " known one", schema::METER_KEYS);
                    format!("{place}: unknown column {}{meant}", quoted(cell.trim()))
                }
                _ => {
                    columns.push(column);
                    continue;
                }
            };
            self.problem(line, &complaint);
            sound = false;
        }
        if sound && !columns.contains(&Some("prm")) {
            self.problem(line, "there is no column \"prm\"");
            sound = false;
        }
        sound.then_some(columns)
    }

    /// Whether each cell of a line is in a column that has a name.
    fn is_regular(&self, line: usize, columns: &[Option<&str>], cells: &StringRecord) -> bool {
        if cells.iter().any(|cell| cell.contains('\n')) {
            self.problem(line, "a cell goes on over the end of the line; is a quote too many or missing?");
            return false;
        }
        let stray = cells
            .iter()
            .enumerate()
            .find(|(index, cell)| !cell.trim().is_empty() && columns.get(*index).is_none_or(Option::is_none));
        let Some((index, _)) = stray else { return true };
        let message = format!(
            "column {} has no name in the first line; lists inside a cell have {BETWEEN} in between",
            index + 1
        );
        self.problem(line, &message);
        false
    }

    /// The line of the record that was read from this byte on; the parser passes empty lines by.
    fn line(&self, lines: &Lines, from: u64) -> usize {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let ahead = self.text.as_bytes().get(from..).unwrap_or_default();
        lines.at(from.saturating_add(ahead.iter().take_while(|b| **b == b'\n').count()))
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { path: self.path.to_path_buf(), line }
    }

    fn problem(&self, line: usize, message: &str) {
        self.reader.problem(&self.origin(line), message);
    }
}

/// The sign between cells: the first of `;`, tab and `,` that the first line has.
fn between_cells(text: &str) -> u8 {
    let first = text.trim_start().lines().next().unwrap_or_default();
    if first.contains(';') {
        b';'
    } else if first.contains('\t') {
        b'\t'
    } else {
        b','
    }
}

/// One line.
struct Row<'a> {
    sheet: &'a Sheet<'a>,
    columns: &'a [Option<&'static str>],
    cells: &'a StringRecord,
    origin: Origin,
    /// The meter's number, counted on from those in blocks.
    index: usize,
}

impl Row<'_> {
    /// What stands in a column; nothing and an empty cell are the same.
    fn cell(&self, key: &str) -> Option<&str> {
        let index = self.columns.iter().position(|column| *column == Some(key))?;
        self.cells.get(index).map(str::trim).filter(|cell| !cell.is_empty())
    }
}

impl Fields for Row<'_> {
    fn text(&self, key: &str) -> Option<Found<String>> {
        let value = self.cell(key)?.to_owned();
        self.sheet.reader.note(&format!("meter.{}.{key}", self.index), &self.origin);
        Some(Found { value, origin: self.origin.clone() })
    }

    fn list(&self, key: &str) -> Option<Vec<Found<String>>> {
        let cell = self.text(key)?;
        let elements = cell.value.split(BETWEEN).map(str::trim).filter(|element| !element.is_empty());
        Some(elements.map(|value| Found { value: value.to_owned(), origin: cell.origin.clone() }).collect())
    }

    fn origin_of(&self, key: &str) -> Option<Origin> {
        self.cell(key).map(|_| self.origin.clone())
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn is_number(&self, _key: &str) -> Option<Origin> {
        None
    }

    fn hint(&self, key: &str, value: &str) -> &'static str {
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        match key {
            "prm" if digits && value.len() < 14 => {
                "; a spreadsheet takes zeros off the front of a number: format the column as text and write all 14 \
                 digits"
            }
            "prm" if value.contains(['e', 'E']) && value.contains('+') => {
                "; a spreadsheet has made a number of it and lost its last digits: format the column as text and enter \
                 it anew"
            }
            "since" if value.contains('/') => "; format the column as text, so that a spreadsheet leaves it alone",
            "sources" | "datasets" if value.contains([',', ';', ' ']) => "; in a cell, write | between several",
            _ => "",
        }
    }

    fn problem(&self, origin: &Origin, message: &str) {
        self.sheet.reader.problem(origin, message);
    }
}
