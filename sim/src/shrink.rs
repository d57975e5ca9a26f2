//! Making a case that fails smaller: whatever can be left out without another invariant holding is.

use crate::case::{Case, Op};

/// The smallest case found that still fails, in so many tries.
pub fn shrink(case: &Case, tries_max: usize, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut tries = tries_max;
    loop {
        let before = best.clone();
        for part in [Part::Steps, Part::Faults, Part::Meanwhile, Part::Pages] {
            part.leave_out(&mut best, &mut tries, &mut fails);
        }
        if tries == 0 || before.size() == best.size() {
            return best;
        }
    }
}

/// What can be left out piece by piece.
#[derive(Clone, Copy, Debug)]
enum Part {
    Steps,
    Faults,
    Meanwhile,
    Pages,
}

impl Part {
    /// Leaves out as many pieces as possible, half of them at once to begin with.
    fn leave_out(self, best: &mut Case, tries: &mut usize, fails: &mut impl FnMut(&Case) -> bool) {
        let mut count = self.pieces(best);
        while count > 0 {
            let mut at = 0;
            while at < self.pieces(best) && *tries > 0 {
                *tries -= 1;
                let mut smaller = best.clone();
                self.remove(&mut smaller, at, count);
                if fails(&smaller) {
                    *best = smaller;
                } else {
                    at += count;
                }
            }
            count /= 2;
        }
    }

    fn pieces(self, case: &Case) -> usize {
        match self {
            Self::Steps => case.steps.len(),
            Self::Faults => case.faults.len(),
            Self::Meanwhile => case.steps.iter().map(|step| step.meanwhile.len()).sum(),
            Self::Pages => case.steps.iter().filter_map(|step| pages(&step.op)).sum(),
        }
    }

    fn remove(self, case: &mut Case, at: usize, count: usize) {
        let mut number = 0;
        let mut is_kept = || {
            number += 1;
            !(at..at + count).contains(&(number - 1))
        };
        match self {
            Self::Steps => case.steps.retain(|_| is_kept()),
            Self::Faults => case.faults.retain(|_| is_kept()),
            Self::Meanwhile => {
                case.steps.iter_mut().for_each(|step| step.meanwhile.retain(|_| is_kept()));
            }
            Self::Pages => {
                for step in &mut case.steps {
                    if let Op::Store { folio: pages, .. } | Op::Chain { pages, .. } = &mut step.op {
                        let first = pages.first().copied();
                        pages.retain(|_| is_kept());
                        // A folio has a page.
                        if pages.is_empty() {
                            pages.extend(first);
                        }
                    }
                }
            }
        }
    }
}

fn pages(op: &Op) -> Option<usize> {
    match op {
        Op::Store { folio: pages, .. } | Op::Chain { pages, .. } => Some(pages.len()),
        _ => None,
    }
}

impl Case {
    /// How much there is of it.
    #[must_use]
    pub fn size(&self) -> usize {
        let parts = [Part::Steps, Part::Faults, Part::Meanwhile, Part::Pages];
        parts.iter().map(|part| part.pieces(self)).sum()
    }
}
