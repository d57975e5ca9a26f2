//! How far around a fault pages are filled: few where accesses are random, many where they are
//! sequential.

/// Recent runs of faults. A fault that comes where one ended doubles its run, whoever made it; any
/// other begins a run of one page.
#[derive(Debug)]
pub(crate) struct Streams {
    recent: [Stream; STREAMS],
    /// The one that is replaced next.
    oldest: usize,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    /// The page behind what was filled last.
    next: usize,
    pages: usize,
}

impl Streams {
    pub(crate) const fn new() -> Self {
        Self { recent: [Stream { next: usize::MAX, pages: 0 }; STREAMS], oldest: 0 }
    }

    /// How many pages to fill for a fault, of `pages_max`; `filled` tells how many it became.
    pub(crate) fn fault(
        &mut self,
        page: usize,
        pages_max: usize,
        filled: impl FnOnce(usize) -> usize,
    ) {
        let known = self.recent.iter().position(|stream| stream.next == page);
        let at = known.unwrap_or_else(|| {
            self.oldest = (self.oldest + 1) % STREAMS;
            self.oldest
        });
        let wanted = known.and_then(|at| self.recent.get(at)).map_or(1, |stream| 2 * stream.pages);
        let wanted = wanted.clamp(1, pages_max);
        let filled = filled(wanted);
        if let Some(stream) = self.recent.get_mut(at)
            && filled > 0
        {
            // What was cut short, by the end of a window or by pages that are there, goes on.
            *stream = Stream { next: page + filled, pages: wanted };
        }
    }
}

const STREAMS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(streams: &mut Streams, pages: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut sizes = Vec::new();
        for page in pages {
            streams.fault(page, 64, |wanted| {
                sizes.push(wanted);
                wanted
            });
        }
        sizes
    }

    #[test]
    fn a_run_doubles_up_to_the_most() {
        let mut streams = Streams::new();
        let sizes = faults(&mut streams, [10, 11, 13, 17, 25, 41, 73, 137].into_iter());
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 64]);
    }

    #[test]
    fn random_faults_are_of_one_page() {
        let mut streams = Streams::new();
        assert!(faults(&mut streams, (0..100).map(|at| at * 977 % 10_000)).iter().all(|n| *n == 1));
    }

    #[test]
    fn several_runs_grow_side_by_side() {
        let mut streams = Streams::new();
        let sizes = faults(&mut streams, [0, 1000, 1, 1001, 3, 1003].into_iter());
        assert_eq!(sizes, [1, 1, 2, 2, 4, 4]);
    }
}
