//! Which window leaves next.

use std::fmt::Debug;

/// A window of a region: 1 MiB, what leaves memory at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WindowId {
    /// The number of the region: of those that are mapped at a time, each has its own.
    pub region: u32,
    /// The number of the window in the region.
    pub window: usize,
}

impl WindowId {
    /// A window of a region.
    #[must_use]
    pub const fn new(region: u32, window: usize) -> Self {
        Self { region, window }
    }
}

/// Why pages came into a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filled {
    /// They were touched for the first time.
    New,
    /// They came back from the pool.
    Loaded,
    /// They came back while they were staged: they are in use.
    Rescued,
}

/// The order in which windows leave.
///
/// Called under a lock, and while a fault is served but for [`map`](Self::map) and
/// [`unmap`](Self::unmap): all other methods must not allocate, block, or touch a region. A panic
/// ends the process.
///
/// ```
/// use zswap_pager::{Eviction, Filled, WindowId};
///
/// /// Whatever was filled last leaves first.
/// #[derive(Debug, Default)]
/// struct Lifo(Vec<WindowId>);
///
/// impl Eviction for Lifo {
///     fn map(&mut self, _region: u32, windows: usize) {
///         self.0.reserve(self.0.capacity() + windows);
///     }
///     fn unmap(&mut self, region: u32) {
///         self.0.retain(|window| window.region != region);
///     }
///     fn filled(&mut self, window: WindowId, _pages: usize, _how: Filled) {
///         if self.0.last() != Some(&window) {
///             self.0.retain(|other| *other != window);
///             self.0.push(window);
///         }
///     }
///     fn next(&mut self) -> Option<WindowId> {
///         self.0.pop()
///     }
/// }
/// ```
pub trait Eviction: Debug + Send {
    /// A region with so many windows is there.
    fn map(&mut self, region: u32, windows: usize);

    /// It is gone.
    fn unmap(&mut self, region: u32);

    /// Pages came into a window.
    fn filled(&mut self, window: WindowId, pages: usize, how: Filled);

    /// The window to leave next; it is not named again before pages come into it. `None`: there
    /// are none with pages.
    fn next(&mut self) -> Option<WindowId>;

    /// A window is not expected to be used soon.
    fn cold(&mut self, window: WindowId) {
        let _ = window;
    }
}

/// A hand goes round over the windows in the order of their addresses, and leaves out, once, those
/// whose pages came back more often than others' when they were last out.
#[derive(Debug, Default)]
pub struct Hand {
    regions: Vec<(u32, Box<[Score]>)>,
    /// Where the hand is: a place in `regions`, a window.
    at: (usize, usize),
    /// Pages rescued per window of late, times 16.
    usual: u32,
}

/// What the hand knows of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    has_pages: bool,
    rescued: u16,
}

impl Hand {
    fn score(&mut self, window: WindowId) -> Option<&mut Score> {
        let mut regions = self.regions.iter_mut();
        let (_, scores) = regions.find(|(region, _)| *region == window.region)?;
        scores.get_mut(window.window)
    }
}

impl Eviction for Hand {
    fn map(&mut self, region: u32, windows: usize) {
        self.regions.push((region, vec![Score::default(); windows].into()));
    }

    fn unmap(&mut self, region: u32) {
        self.regions.retain(|(other, _)| *other != region);
        self.at = (0, 0);
    }

    fn filled(&mut self, window: WindowId, pages: usize, how: Filled) {
        if let Some(score) = self.score(window) {
            score.has_pages = true;
            if how == Filled::Rescued {
                score.rescued = score.rescued.saturating_add(pages as u16);
            }
        }
    }

    fn next(&mut self) -> Option<WindowId> {
        let windows: usize = self.regions.iter().map(|(_, scores)| scores.len()).sum();
        // The second time round nobody is left out.
        for _ in 0..=2 * windows {
            let (region, window) = self.at;
            let Some((id, scores)) = self.regions.get_mut(region) else {
                self.at = (0, 0);
                continue;
            };
            let Some(score) = scores.get_mut(window) else {
                self.at = (region + 1, 0);
                continue;
            };
            self.at.1 += 1;
            if !score.has_pages {
                continue;
            }
            let rescued = std::mem::take(&mut score.rescued);
            let is_hot = u32::from(rescued) * 16 > 2 * self.usual + 16 * HOT_PAGES;
            self.usual = self.usual - self.usual / 16 + u32::from(rescued);
            if !is_hot {
                score.has_pages = false;
                return Some(WindowId::new(*id, window));
            }
        }
        None
    }

    fn cold(&mut self, window: WindowId) {
        if let Some(score) = self.score(window) {
            score.rescued = 0;
        }
    }
}

/// Fewer than these do not make a window hot.
const HOT_PAGES: u32 = 16;

/// Windows leave in the order in which pages came into them first.
#[derive(Debug, Default)]
pub struct Fifo {
    order: std::collections::VecDeque<WindowId>,
    regions: Vec<(u32, Box<[bool]>)>,
}

impl Eviction for Fifo {
    fn map(&mut self, region: u32, windows: usize) {
        self.regions.push((region, vec![false; windows].into()));
        let windows: usize = self.regions.iter().map(|(_, listed)| listed.len()).sum();
        self.order.reserve(windows.saturating_sub(self.order.len()));
    }

    fn unmap(&mut self, region: u32) {
        self.regions.retain(|(other, _)| *other != region);
        self.order.retain(|window| window.region != region);
    }

    fn filled(&mut self, window: WindowId, _pages: usize, _how: Filled) {
        let mut regions = self.regions.iter_mut();
        let listed = regions.find(|(region, _)| *region == window.region);
        let listed = listed.and_then(|(_, listed)| listed.get_mut(window.window));
        if listed.is_some_and(|listed| !std::mem::replace(listed, true)) {
            self.order.push_back(window);
        }
    }

    fn next(&mut self) -> Option<WindowId> {
        let window = self.order.pop_front()?;
        let mut regions = self.regions.iter_mut();
        let (_, listed) = regions.find(|(region, _)| *region == window.region)?;
        *listed.get_mut(window.window)? = false;
        Some(window)
    }

    fn cold(&mut self, window: WindowId) {
        if let Some(place) = self.order.iter().position(|other| *other == window)
            && let Some(window) = self.order.remove(place)
        {
            self.order.push_front(window);
        }
    }
}
