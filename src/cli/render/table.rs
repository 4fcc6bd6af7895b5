//! Tables: aligned columns, no lines drawn, colours only when told.

use std::fmt::Write as _;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What a cell's colour says; the text says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// No colour.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
    /// Something failed.
    Bad,
    /// Less important than the rest.
    Faint,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Warning => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
            Self::Faint => "\u{1b}[2m",
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a colour. Control characters in the text become spaces.
    #[must_use]
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        let text: String = text.into();
        Self { text: text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table: columns with a heading, then rows.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new<'h>(columns: impl IntoIterator<Item = (&'h str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(heading, align)| (heading.to_owned(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; what is missing is empty, what is beyond the last column is left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, each line indented by `indent` spaces and ended by a newline.
    #[must_use]
    pub fn render(&self, indent: usize, colours: bool) -> String {
        let headings: Vec<Cell> =
            self.columns.iter().map(|(heading, _)| Cell::toned(heading.as_str(), Tone::Faint)).collect();
        let rows: Vec<&Vec<Cell>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|c| width(&c.text)).max().unwrap_or(0))
            .collect();
        let mut out = String::new();
        for row in rows {
            let mut line = " ".repeat(indent);
            // Blanks are owed until a text follows, so that no line ends with any.
            let mut owed = 0;
            for (index, ((_, align), column)) in self.columns.iter().zip(&widths).enumerate() {
                let empty = Cell::default();
                let cell = row.get(index).unwrap_or(&empty);
                let padding = column - width(&cell.text);
                let (before, after) = if *align == Align::Right { (padding, 0) } else { (0, padding) };
                owed += before;
                if !cell.text.is_empty() {
                    line.push_str(&" ".repeat(owed));
                    owed = 0;
                    push_toned(&mut line, cell, colours);
                }
                owed += after + 2;
            }
            out.push_str(line.trim_end_matches(' '));
            out.push('\n');
        }
        out
    }
}

fn push_toned(line: &mut String, cell: &Cell, colours: bool) {
    let code = if colours { cell.tone.code() } else { "" };
    let off = if code.is_empty() { "" } else { "\u{1b}[0m" };
    let _infallible = write!(line, "{code}{}{off}", cell.text);
}

/// Columns that a text takes on a terminal: right for the scripts of Europe, East Asian wide
/// characters and emoji; composed ones may be off by a column.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    match c {
        // Combining marks, zero-width characters, variation selectors.
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([("dataset", Align::Left), ("gaps", Align::Right), ("state", Align::Left)]);
        table.row(["daily_consumption".into(), "12".into(), Cell::toned("ok", Tone::Good)]);
        table.row(["été 日本".into(), "1\u{a0}000".into(), Cell::toned("failing\nnow", Tone::Bad)]);
        table.row(["short".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        assert_eq!(
            table().render(2, false),
            "  dataset             gaps  state\n\
            \x20 daily_consumption     12  ok\n\
            \x20 été 日本           1\u{a0}000  failing now\n\
            \x20 short\n"
        );
    }

    #[test]
    fn colours_come_only_when_told_and_change_no_width() {
        let coloured = table().render(0, true);
        assert!(coloured.contains("\u{1b}[32mok\u{1b}[0m"));
        let mut stripped = coloured;
        for tone in [Tone::Good, Tone::Warning, Tone::Bad, Tone::Faint] {
            stripped = stripped.replace(tone.code(), "");
        }
        assert_eq!(stripped.replace("\u{1b}[0m", ""), table().render(0, false));
    }

    #[test]
    fn widths() {
        assert_eq!(["", "abc", "été", "e\u{301}", "日本", "⚡"].map(width), [0, 3, 3, 1, 4, 1]);
    }
}
