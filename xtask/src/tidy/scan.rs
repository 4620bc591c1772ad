//! Just enough of Rust's lexical grammar to tell code, strings, comments and tests apart.
//!
//! Not a parser: it must only never mistake one of the four for another, so that a rule about code
//! does not trip over a doc comment that explains the rule.

/// A Rust file taken apart. Every part keeps its line number, from 1.
pub(super) struct Scan {
    /// One entry a line, with comments, literals and `#[cfg(test)]` items blanked.
    pub(super) code: Vec<String>,
    /// String literals outside tests: the line each begins on, and its raw content.
    pub(super) strings: Vec<(usize, String)>,
    /// Comments, one entry a line.
    pub(super) comments: Vec<(usize, String)>,
    /// How many lines belong to `#[cfg(test)]` items.
    pub(super) test_lines: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Text,
    Comment,
}

/// Takes `text` apart.
pub(super) fn scan(text: &str) -> Scan {
    let chars: Vec<char> = text.chars().collect();
    let mut kinds = classify(&chars);
    let mut masked = mask(&chars, &kinds);
    let tests = test_ranges(&masked);
    let mut test_lines = 0;
    for &(from, to) in &tests {
        test_lines += chars.iter().take(to).skip(from).filter(|c| **c == '\n').count() + 1;
        for at in from..to {
            if let (Some(kind), Some(c)) = (kinds.get_mut(at), masked.get_mut(at)) {
                // Comments in tests still answer to the rule about comments.
                if *kind == Kind::Text {
                    *kind = Kind::Code;
                }
                if *c != '\n' {
                    *c = ' ';
                }
            }
        }
    }
    let code = masked.iter().collect::<String>().lines().map(str::to_owned).collect();
    let comments = runs(&chars, &kinds, Kind::Comment)
        .into_iter()
        .flat_map(|(line, comment)| {
            comment.lines().enumerate().map(|(offset, text)| (line + offset, text.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    Scan { code, strings: runs(&chars, &kinds, Kind::Text), comments, test_lines }
}

/// What each character is. Quotes count as code, which keeps neighbouring literals apart.
fn classify(chars: &[char]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (kind, from, to, next) = token(chars, at);
        if kind != Kind::Code {
            kinds.iter_mut().take(to).skip(from).for_each(|slot| *slot = kind);
        }
        at = next.max(at + 1);
    }
    kinds
}

/// The token at `at`: its kind, the range of its content, and where the next begins.
fn token(chars: &[char], at: usize) -> (Kind, usize, usize, usize) {
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    match (get(at), get(at + 1)) {
        ('/', '/') => {
            let end = find(chars, at, |at| get(at) == '\n');
            (Kind::Comment, at, end, end)
        }
        ('/', '*') => {
            let end = block_comment_end(chars, at);
            (Kind::Comment, at, end, end)
        }
        ('"', _) => {
            let end = quoted_end(chars, at + 1, '"');
            (Kind::Text, at + 1, end, end + 1)
        }
        // A raw string, but not an identifier that ends in r, nor a raw identifier.
        ('r', '"' | '#') if !joins(chars, at) => {
            let hashes = find(chars, at + 1, |at| get(at) != '#') - at - 1;
            let open = at + 1 + hashes;
            if get(open) != '"' {
                return (Kind::Code, at, at, open);
            }
            let closes = |at: usize| get(at) == '"' && (1..=hashes).all(|hash| get(at + hash) == '#');
            let end = find(chars, open + 1, closes);
            (Kind::Text, open + 1, end, end + 1 + hashes)
        }
        // A character: '\…' or 'x'. Anything else after the quote is a lifetime.
        ('\'', '\\') => {
            let end = quoted_end(chars, at + 1, '\'');
            (Kind::Text, at + 1, end, end + 1)
        }
        ('\'', _) if get(at + 2) == '\'' => (Kind::Text, at + 1, at + 2, at + 3),
        _ => (Kind::Code, at, at, at + 1),
    }
}

/// Whether the `r` at `at` continues an identifier; `b` and `c` may precede it in a prefix.
fn joins(chars: &[char], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match before(1) {
        'b' | 'c' => word(before(2)),
        other => word(other),
    }
}

fn find(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|at| stop(*at)).unwrap_or(chars.len())
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while let Some(c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            c if *c == quote => return at,
            _ => at += 1,
        }
    }
    chars.len()
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at < chars.len() {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
            (Some('*'), Some('/')) => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn mask(chars: &[char], kinds: &[Kind]) -> Vec<char> {
    chars.iter().zip(kinds).map(|(c, kind)| if *kind == Kind::Code || *c == '\n' { *c } else { ' ' }).collect()
}

/// The items behind `#[cfg(test)]`: up to a semicolon, or to the end of their braces.
fn test_ranges(code: &[char]) -> Vec<(usize, usize)> {
    let mark: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at + mark.len() <= code.len() {
        if code.get(at..at + mark.len()) == Some(mark.as_slice()) {
            let end = item_end(code, at + mark.len());
            ranges.push((at, end));
            at = end;
        } else {
            at += 1;
        }
    }
    ranges
}

fn item_end(code: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    for at in from..code.len() {
        match code.get(at) {
            Some('{' | '(' | '[') => depth += 1,
            Some('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            Some(')' | ']') => depth = depth.saturating_sub(1),
            Some(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The stretches of one kind, each with the line it begins on.
fn runs(chars: &[char], kinds: &[Kind], wanted: Kind) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut line, mut inside) = (1, false);
    for (c, kind) in chars.iter().zip(kinds) {
        if *kind == wanted {
            if !inside {
                found.push((line, String::new()));
            }
            if let Some((_, text)) = found.last_mut() {
                text.push(*c);
            }
        }
        inside = *kind == wanted;
        if *c == '\n' {
            line += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_not_code() {
        let scan = scan("let a = \"x.commit( \\\" y\"; // b.commit(\nlet c = r#\"d \" e\"#; /* f /* g */ h */ i\n");
        assert!(!scan.code.join("\n").contains("commit"));
        assert!(scan.code[1].trim_end().ends_with(" i"));
        assert_eq!(scan.strings, [(1, "x.commit( \\\" y".to_owned()), (2, "d \" e".to_owned())]);
        assert_eq!(scan.comments[0], (1, "// b.commit(".to_owned()));
        assert_eq!(scan.comments[1], (2, "/* f /* g */ h */".to_owned()));
    }

    #[test]
    fn a_lifetime_opens_no_character_and_a_quoted_quote_no_string() {
        let scan = scan("fn f<'a>(x: &'a str) -> char { '\"' } // \"\nlet r#type = var\"s\";\n");
        assert_eq!(scan.strings, [(1, "\"".to_owned()), (2, "s".to_owned())]);
        assert!(scan.code[1].contains("r#type"));
    }

    #[test]
    fn tests_are_blanked_item_by_item() {
        let scan = scan(
            "#[cfg(test)]\nmod fakes;\nfn real() { a.commit() }\n#[cfg(test)]\nmod tests {\n    fn t() { \"}\"; }\n}\nfn after() {}\n",
        );
        assert_eq!(scan.test_lines, 6);
        let code = scan.code.join("\n");
        assert!(code.contains("real") && code.contains("after") && !code.contains("fn t"));
        assert!(scan.strings.is_empty());
    }
}
