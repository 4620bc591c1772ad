//! A Markdown table whose source is as legible as its rendering.

use std::fmt;

/// Rows under a header. A row that is too short is filled up; what is too long is cut off.
pub struct Table {
    rows: Vec<Vec<String>>,
    columns: usize,
}

impl Table {
    /// A table with these column titles.
    #[must_use]
    pub fn new<const N: usize>(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned).to_vec()], columns: N }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        // A bar would open a further column.
        let mut cells: Vec<String> = cells.into_iter().map(|cell| cell.into().replace('|', "\\|")).collect();
        cells.resize(self.columns, String::new());
        self.rows.push(cells);
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                write!(f, "| {cell:<width$} ", width = self.width(column))?;
            }
            writeln!(f, "|")?;
            if at == 0 {
                for column in 0..self.columns {
                    write!(f, "| {:-<width$} ", "", width = self.width(column))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_bars_escaped() {
        let mut table = Table::new(["what", "ratio"]);
        table.row(["verify a|b", "0.97"]);
        table.row(["x"]);
        let expected = "\
| what        | ratio |
| ----------- | ----- |
| verify a\\|b | 0.97  |
| x           |       |
";
        assert_eq!(table.to_string(), expected);
    }
}
