//! Staging: where the pages of a window are from when they leave the region until they are stored.
//!
//! Frames are drained in the order in which they were filled. The time until a frame's turn is the
//! pages' second chance: whoever touches one of them gets it back without a codec.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::raw::memory::Frame;
use crate::raw::uffd::{Faults, Uffd};
use crate::space::{Space, lock};
use crate::window::WINDOW_PAGES;

#[derive(Debug)]
pub(crate) struct Staging {
    frames: Box<[RwLock<Frame>]>,
    queue: Mutex<Queue>,
}

/// Never grows beyond what it is made for.
#[derive(Debug)]
struct Queue {
    free: Vec<u16>,
    /// To be drained, oldest first.
    filled: VecDeque<u16>,
    contents: Box<[Content]>,
}

/// What is in a frame.
#[derive(Debug, Default)]
struct Content {
    space: Option<Arc<Space>>,
    window: usize,
    /// Pages that came into it.
    pages: usize,
    /// Pages before this one are drained, or are being.
    next: usize,
    /// Slices that are being drained.
    draining: usize,
}

/// Pages of a frame, to be drained.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) space: Arc<Space>,
    pub(crate) window: usize,
    pub(crate) frame: u16,
    /// Within the window.
    pub(crate) pages: Range<usize>,
}

impl Staging {
    pub(crate) fn new(frames: usize) -> io::Result<Self> {
        let new = |_| Ok(RwLock::new(Frame::new(WINDOW_PAGES)?));
        Ok(Self {
            frames: (0..frames).map(new).collect::<io::Result<_>>()?,
            queue: Mutex::new(Queue {
                free: (0..frames as u16).collect(),
                filled: VecDeque::with_capacity(frames),
                contents: (0..frames).map(|_| Content::default()).collect(),
            }),
        })
    }

    /// Lets pages be moved in.
    pub(crate) fn register(&self, uffd: &Uffd) -> io::Result<()> {
        let mut frames = self.frames.iter().map(|frame| frame.read());
        frames.try_for_each(|frame| {
            let frame = frame.unwrap_or_else(PoisonError::into_inner);
            uffd.register(frame.area(), Faults::Protected)
        })
    }

    /// To read pages of a frame that were moved in and are not drained.
    pub(crate) fn read(&self, frame: u16) -> Option<RwLockReadGuard<'_, Frame>> {
        let frame = self.frames.get(usize::from(frame))?;
        Some(frame.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write(&self, frame: u16) -> Option<RwLockWriteGuard<'_, Frame>> {
        let frame = self.frames.get(usize::from(frame))?;
        Some(frame.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a frame to fill it. `None`: all are in use.
    pub(crate) fn take(&self) -> Option<u16> {
        lock(&self.queue).free.pop()
    }

    /// Gives back a frame that is empty.
    pub(crate) fn put(&self, frame: u16) {
        lock(&self.queue).free.push(frame);
    }

    /// Whether no frame is in use.
    pub(crate) fn is_empty(&self) -> bool {
        let queue = lock(&self.queue);
        queue.free.len() == queue.contents.len()
    }

    /// A frame that was taken has pages of a window.
    pub(crate) fn filled(&self, frame: u16, space: Arc<Space>, window: usize, pages: usize) {
        let mut queue = lock(&self.queue);
        if let Some(content) = queue.contents.get_mut(usize::from(frame)) {
            *content = Content { space: Some(space), window, pages, ..Content::default() };
            queue.filled.push_back(frame);
        }
    }

    /// The next pages to be drained, as many as are asked for or to the end of a frame; of one
    /// region, if it matters.
    pub(crate) fn next(&self, pages: usize, of: Option<&Arc<Space>>) -> Option<Slice> {
        let mut queue = lock(&self.queue);
        let is_of = |content: &Content| match (of, &content.space) {
            (Some(of), Some(space)) => Arc::ptr_eq(of, space),
            (None, _) => true,
            (Some(_), None) => false,
        };
        let Queue { filled, contents, .. } = &mut *queue;
        let content = |frame: u16| contents.get(usize::from(frame));
        let place = filled.iter().position(|frame| content(*frame).is_some_and(is_of))?;
        let frame = *filled.get(place)?;
        let content = contents.get_mut(usize::from(frame))?;
        let space = Arc::clone(content.space.as_ref()?);
        let from = content.next;
        content.next = (from + pages).min(WINDOW_PAGES);
        content.draining += 1;
        let (window, pages) = (content.window, from..content.next);
        if content.next == WINDOW_PAGES {
            filled.remove(place);
        }
        Some(Slice { space, window, frame, pages })
    }

    /// A slice is drained. Whether it was the last one of its frame.
    pub(crate) fn drained(&self, slice: &Slice) -> bool {
        let mut queue = lock(&self.queue);
        let content = queue.contents.get_mut(usize::from(slice.frame));
        content.is_some_and(|content| {
            content.draining -= 1;
            content.draining == 0 && content.next == WINDOW_PAGES
        })
    }

    /// Empties a frame whose pages are drained, and that nobody reads. Returns how many pages had
    /// come into it.
    pub(crate) fn empty(&self, frame: u16) -> io::Result<usize> {
        self.write(frame).map(|mut frame| frame.empty()).transpose()?;
        let mut queue = lock(&self.queue);
        queue.free.push(frame);
        let content = queue.contents.get_mut(usize::from(frame)).map(std::mem::take);
        Ok(content.map_or(0, |content| content.pages))
    }
}
