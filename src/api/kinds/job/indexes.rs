//! Lists of indexes as a Job writes them: `0,2-4,7`.
//!
//! Invariant: the indexes of a list ascend, and lie below the number of completions.

/// One run of indexes, both ends counted.
type Run = (i32, i32);

/// How many indexes the list holds; what is wrong with it otherwise.
pub(super) fn count(list: &str, completions: i32) -> Result<i32, String> {
    let mut last: Option<i32> = None;
    let mut total = 0i32;
    for word in list.split(',').filter(|_| !list.is_empty()) {
        let (first, end) = parse_run(word, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total = total.wrapping_add(end.wrapping_sub(first).wrapping_add(1));
        last = Some(end);
    }
    Ok(total)
}

/// The first index that stands in both lists. Words that cannot be read are passed over: [`count`] tells of them.
pub(super) fn overlap(left: &str, right: &str, completions: i32) -> Option<i32> {
    let runs = |list: &str| -> Vec<Run> {
        list.split(',').filter_map(|word| parse_run(word, completions).ok()).collect()
    };
    let (left, right) = (runs(left), runs(right));
    let (mut at_left, mut at_right) = (0, 0);
    while let (Some(one), Some(other)) = (left.get(at_left), right.get(at_right)) {
        if one.0 <= other.1 && other.0 <= one.1 {
            return Some(one.0.max(other.0));
        }
        if one.0 <= other.0 {
            at_left += 1;
        } else {
            at_right += 1;
        }
    }
    None
}

fn parse_run(word: &str, completions: i32) -> Result<Run, String> {
    let mut ends = word.split('-');
    let (first, second, more) = (ends.next().unwrap_or(""), ends.next(), ends.next());
    if more.is_some() {
        return Err(format!(
            "the fragment {word:?} violates the requirement that an index interval can have at most two parts \
             separated by '-'"
        ));
    }
    let first = parse_index(first, completions)?;
    let Some(second) = second else { return Ok((first, first)) };
    let second = parse_index(second, completions)?;
    if first >= second {
        return Err(format!("non-increasing order, previous: {first}, current: {second}"));
    }
    Ok((first, second))
}

fn parse_index(word: &str, completions: i32) -> Result<i32, String> {
    let Ok(index) = word.parse::<i64>() else {
        return Err(format!("cannot convert string to integer for index: {word:?}"));
    };
    match i32::try_from(index) {
        Ok(index) if index < completions => Ok(index),
        _ => Err(format!("too large index: {word:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted_or_refused() {
        // (list, completions, answer), after upstream's own table.
        let table = [
            ("", 5, Ok(0)),
            ("0", 5, Ok(1)),
            ("0,2-4", 5, Ok(4)),
            ("1-3,4", 5, Ok(4)),
            ("+1", 5, Ok(1)),
            ("0,0", 5, Err("non-increasing order, previous: 0, current: 0")),
            ("0,3,2", 5, Err("non-increasing order, previous: 3, current: 2")),
            ("2-2", 5, Err("non-increasing order, previous: 2, current: 2")),
            ("5", 5, Err("too large index: \"5\"")),
            ("0-7", 5, Err("too large index: \"7\"")),
            ("99999999999", 5, Err("too large index: \"99999999999\"")),
            ("0,1,2abc", 5, Err("cannot convert string to integer for index: \"2abc\"")),
            ("0,", 5, Err("cannot convert string to integer for index: \"\"")),
            (
                "1-2-3",
                5,
                Err(
                    "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two \
                     parts separated by '-'",
                ),
            ),
        ];
        for (list, completions, answer) in table {
            assert_eq!(count(list, completions), answer.map_err(str::to_owned), "{list}");
        }
    }

    #[test]
    fn lists_overlap() {
        let table = [
            ("", "", None),
            ("0-2", "3-4", None),
            ("0,2-4", "1,3", Some(3)),
            ("1,3,5", "0,2,4", None),
            ("x,1", "1", Some(1)),
            ("0-4", "2", Some(2)),
        ];
        for (left, right, answer) in table {
            assert_eq!(overlap(left, right, 9), answer, "{left} {right}");
        }
    }
}
