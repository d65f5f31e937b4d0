//! Which keys of a bucket a notification is about.

/// Keys that begin and end so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyFilter {
    pub(super) prefix: String,
    pub(super) suffix: String,
}

/// Characters of a filter that S3 takes as they are, beside letters and digits; others would have
/// to be encoded, and `*` is refused. See the S3 user guide, "Configuring event notifications using
/// object key name filtering".
const SAFE: &str = "/-_.!'()";

/// The fewest filters that let through all that `filters` do. S3 refuses two notifications that
/// could be about one key, so those that overlap become one, which may let through more: an event
/// that no rule names is dropped where it arrives.
pub(super) fn merge(filters: impl IntoIterator<Item = KeyFilter>) -> Vec<KeyFilter> {
    let mut merged: Vec<KeyFilter> = Vec::new();
    for mut filter in filters {
        // What a wider filter overlaps may not have overlapped the narrower one.
        while let Some(place) = merged.iter().position(|other| filter.overlaps(other)) {
            filter = filter.around(merged.swap_remove(place));
        }
        merged.push(filter);
    }
    merged.sort();
    merged
}

impl KeyFilter {
    /// Lets through all keys that begin with `prefix` and end in `suffix`, and more where those hold
    /// other than safe characters: each is cut short there.
    pub(super) fn new(prefix: &str, suffix: &str) -> Self {
        let is_unsafe = |c: char| !c.is_ascii_alphanumeric() && !SAFE.contains(c);
        let prefix = prefix.split(is_unsafe).next().unwrap_or_default();
        let suffix = suffix.rsplit(is_unsafe).next().unwrap_or_default();
        Self { prefix: prefix.to_owned(), suffix: suffix.to_owned() }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (&self.prefix, &other.prefix);
        let prefixes = a.starts_with(b.as_str()) || b.starts_with(a.as_str());
        let (a, b) = (&self.suffix, &other.suffix);
        prefixes && (a.ends_with(b.as_str()) || b.ends_with(a.as_str()))
    }

    fn around(self, other: Self) -> Self {
        let shorter = |a: String, b: String| if a.len() <= b.len() { a } else { b };
        Self {
            prefix: shorter(self.prefix, other.prefix),
            suffix: shorter(self.suffix, other.suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(filters: &[(&str, &str)]) -> Vec<(String, String)> {
        let merged = merge(filters.iter().map(|(prefix, suffix)| KeyFilter::new(prefix, suffix)));
        merged.into_iter().map(|filter| (filter.prefix, filter.suffix)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn what_cannot_be_about_one_key_stays_apart() {
        let apart = [("a/", ".jpg"), ("a/", ".png"), ("b/", ".jpg")];
        assert_eq!(merged(&apart), pairs(&apart));
    }

    #[test]
    fn a_filter_is_cut_short_where_a_character_would_have_to_be_encoded() {
        let cut = [("summer photos/", " copy.jpg"), ("", ".ü.png")];
        assert_eq!(merged(&cut[..1]), pairs(&[("summer", "copy.jpg")]));
        assert_eq!(merged(&cut[1..]), pairs(&[("", ".png")]));
    }

    #[test]
    fn what_overlaps_becomes_one_and_may_meet_others_then() {
        assert_eq!(merged(&[("a/b/", ""), ("a/", "")]), pairs(&[("a/", "")]));
        assert_eq!(merged(&[("a/", ""), ("", ".jpg")]), pairs(&[("", "")]));
        // The first two stay apart until the third joins them.
        let chain = [("a/x", ".jpg"), ("a/y", ".jpg"), ("a/", ".jpg"), ("b/", "")];
        assert_eq!(merged(&chain), pairs(&[("a/", ".jpg"), ("b/", "")]));
        assert_eq!(merged(&[]), pairs(&[]));
    }
}
