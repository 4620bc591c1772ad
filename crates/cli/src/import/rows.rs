//! Rows of an import file, CSV or JSON lines, as the objects the API takes. A line that is no row is told with its reason
//! and never stops the others.

use std::io::{self, BufRead};

use serde_json::{Map, Value};

use super::cells;
use super::lines::{Line, Lines, MOST_BYTES};

/// Lines one CSV record may span.
const MOST_LINES: usize = 32;

/// A row of the file.
pub(super) struct Row {
    /// The line it begins on, from 1.
    pub(super) line: u64,
    /// The last line it is on.
    pub(super) last_line: u64,
    /// The byte of the file after it.
    pub(super) end: u64,
    /// Its fields, or why it is none.
    pub(super) fields: Result<Map<String, Value>, String>,
}

/// What the first line of a CSV file says.
pub(super) struct Header {
    /// The names of its columns.
    pub(super) columns: Vec<String>,
    /// The byte after it.
    pub(super) end: u64,
}

/// The text of a CSV record and where it ends.
struct Record {
    text: Vec<u8>,
    last_line: u64,
    end: u64,
}

/// Reads rows.
pub(super) struct Rows<R> {
    lines: Lines<R>,
    columns: Option<Vec<String>>,
}

impl<R: BufRead> Rows<R> {
    /// Rows of `from`, which stands at byte `at`, after so many lines. CSV takes the columns its header named.
    pub(super) fn new(from: R, at: u64, line: u64, columns: Option<Vec<String>>) -> Self {
        Self { lines: Lines::new(from, at, line), columns }
    }

    /// The next row; blank lines are passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        while let Some(line) = self.lines.next()? {
            if line.bytes.trim_ascii().is_empty() && !line.too_long {
                continue;
            }
            return self.row(line).map(Some);
        }
        Ok(None)
    }

    fn row(&mut self, first: Line) -> io::Result<Row> {
        let (number, end) = (first.number, first.end);
        let refuse = |reason: String| Row { line: number, last_line: number, end, fields: Err(reason) };
        if first.too_long {
            return Ok(refuse(format!("the line is longer than {MOST_BYTES} bytes")));
        }
        if self.columns.is_none() {
            return Ok(Row { line: number, last_line: number, end, fields: object(&first.bytes) });
        }
        let Some(Record { text, last_line, end }) = self.record(first)? else {
            return Ok(refuse("a quote is opened and never closed".into()));
        };
        let columns = self.columns.as_deref().unwrap_or_default();
        let fields = split(&text).and_then(|values| cells::fields(columns, &values));
        Ok(Row { line: number, last_line, end, fields })
    }

    /// The whole text of the record that begins on this line, and where it ends. A quoted field may hold line ends; a
    /// quote that is not closed soon was meant for none, and the lines after it are read on their own.
    fn record(&mut self, first: Line) -> io::Result<Option<Record>> {
        let mut record = Record { text: first.bytes, last_line: first.number, end: first.end };
        let mut taken = Vec::new();
        while has_open_quote(&record.text) {
            let next = if taken.len() < MOST_LINES { self.lines.next()? } else { None };
            let Some(line) = next else {
                self.lines.give_back(taken);
                return Ok(None);
            };
            let fits = !line.too_long && record.text.len() + line.bytes.len() < MOST_BYTES;
            record.text.push(b'\n');
            record.text.extend(&line.bytes);
            (record.last_line, record.end) = (line.number, line.end);
            taken.push(line);
            if !fits {
                self.lines.give_back(taken);
                return Ok(None);
            }
        }
        Ok(Some(record))
    }
}

/// What a CSV file's header says, or why it is none.
pub(super) fn read_header(from: impl BufRead) -> io::Result<Result<Header, String>> {
    let Some(line) = Lines::new(from, 0, 0).next()? else { return Ok(Err("the file is empty".into())) };
    // What Excel puts in front of UTF-8.
    let text = line.bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line.bytes);
    let names = split(text).map(|columns| columns.iter().map(|name| name.trim().to_ascii_lowercase()).collect());
    Ok(names.and_then(cells::check).map(|columns| Header { columns, end: line.end }))
}

/// In a sound record quotes come in pairs, those that stand for themselves included (RFC 4180).
fn has_open_quote(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

fn split(text: &[u8]) -> Result<Vec<String>, String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1_024).from_reader(text);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(_) => Ok(record.iter().map(str::to_owned).collect()),
        Err(_) => Err("the line is not UTF-8".into()),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("the line is not a JSON object: write {\"hash\": \"…\", \"name\": \"…\"}".into()),
        Err(error) => Err(format!("the line is not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileFormat;
    use super::*;

    fn rows(text: &str, format: FileFormat) -> Vec<(u64, u64, Result<String, String>)> {
        let header = (format == FileFormat::Csv).then(|| read_header(text.as_bytes()).unwrap().unwrap());
        let at = header.as_ref().map_or(0, |header| header.end);
        let lines = u64::from(header.is_some());
        let from = &text.as_bytes()[usize::try_from(at).unwrap()..];
        let mut rows = Rows::new(from, at, lines, header.map(|header| header.columns));
        let next = || rows.next().unwrap();
        std::iter::from_fn(next)
            .map(|row| (row.line, row.last_line, row.fields.map(|fields| Value::from(fields).to_string())))
            .collect()
    }

    #[test]
    fn a_quoted_field_may_span_lines() {
        let rows = rows("hash,name\naa,\"two\nlines, \"\"quoted\"\"\"\n\nbb,c\n", FileFormat::Csv);
        assert_eq!(
            rows,
            [
                (2, 3, Ok(r#"{"hash":"aa","name":"two\nlines, \"quoted\""}"#.into())),
                (5, 5, Ok(r#"{"hash":"bb","name":"c"}"#.into())),
            ]
        );
    }

    #[test]
    fn an_open_quote_spoils_its_own_line_alone() {
        let mut text = "hash,name\naa,5\" disk\n".to_owned();
        (0..40).for_each(|row| text.push_str(&format!("b{row},c\n")));
        let rows = rows(&text, FileFormat::Csv);
        assert_eq!(rows.len(), 41);
        assert!(rows[0].2.as_ref().unwrap_err().contains("quote"));
        assert!(rows[1..].iter().all(|row| row.2.is_ok()));
    }

    #[test]
    fn what_is_no_row_is_told_and_passed_over() {
        let rows = rows("{\"hash\":\"a\"}\nnope\n[1]\n{\"hash\":\"b\"}", FileFormat::Jsonl);
        assert!(rows[0].2.is_ok() && rows[1].2.is_err() && rows[2].2.is_err() && rows[3].2.is_ok());
        assert_eq!(rows[3].0, 4);
    }
}
