//! Lists of CPUs as the kernel writes them: `0-13,112-125`.

use std::num::ParseIntError;

use super::CPU_NUMBERS;

/// Writes ascending numbers as ranges.
#[must_use]
pub fn cpu_list(cpus: &[usize]) -> String {
    let ranges = cpus.chunk_by(|a, b| a + 1 == *b).filter_map(|range| match range {
        [] => None,
        [only] => Some(only.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    ranges.collect::<Vec<_>>().join(",")
}

/// Reads ranges into ascending numbers.
pub(super) fn parse(list: &str) -> Result<Vec<usize>, String> {
    let mut cpus = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse().map_err(|e: ParseIntError| e.to_string());
        let of = |why| format!("`{range}` is no CPU or range of CPUs: {why}");
        let (first, last): (usize, usize) = (number(first).map_err(of)?, number(last).map_err(of)?);
        if first > last || last >= CPU_NUMBERS {
            return Err(of(format!("it must ascend and stay below {CPU_NUMBERS}")));
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    match cpus.array_windows().find(|[a, b]| a == b) {
        Some([twice, _]) => Err(format!("CPU {twice} is there twice")),
        None => Ok(cpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_as_they_were() {
        for list in ["", "0", "0-13,112-125", "1,3,5-6"] {
            assert_eq!(cpu_list(&parse(list).unwrap()), list);
        }
        assert_eq!(parse(" 5,0-1\n").unwrap(), [0, 1, 5]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in ["a", "1-", "3-1", "0-1,1", "8192", "0-18446744073709551615"] {
            assert!(parse(list).is_err(), "{list}");
        }
    }
}
