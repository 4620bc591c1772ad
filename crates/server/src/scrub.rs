//! Error messages repeat what was sent, to say what is wrong with it. Somebody who puts a key where it does not belong
//! must not find it in an error body, and in every log that keeps those (security.md 53).

/// Runs of letters as long as this may be a key; no word of ours is.
const SUSPICIOUS: usize = 24;
/// How much of one is left, to recognise it by.
const LEFT: usize = 6;

/// Cuts everything short that could be a secret.
pub(crate) fn scrub(text: &str) -> String {
    let may_be_secret =
        |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '+' | '/' | '=' | '.' | '%');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|char| !may_be_secret(char)).unwrap_or(rest.len()));
        if run.len() >= SUSPICIOUS {
            clean.push_str(run.get(..LEFT).unwrap_or_default());
            clean.push('…');
        } else {
            clean.push_str(run);
        }
        let (between, next) = after.split_at(after.find(may_be_secret).unwrap_or(after.len()));
        clean.push_str(between);
        rest = next;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_is_cut_short_wherever_it_stands() {
        let secret = "kw_live_Ab3dEf6hIj9l_0123456789abcdefghijklmnop";
        for text in
            [format!("unknown field `{secret}`"), format!("string \"{secret}\", expected a list"), secret.to_owned()]
        {
            let clean = scrub(&text);
            assert!(!clean.contains("Ab3dEf") && clean.contains("kw_liv…"), "{clean}");
        }
    }

    #[test]
    fn ordinary_words_stay() {
        let text =
            "`storage:reed` is not a permission: write it as resource:action, as in storage:read — 30d, 203.0.113.0/24";
        assert_eq!(scrub(text), text);
    }
}
