//! Size classes: which lengths of objects share zspages. Fixed when this is compiled.
//!
//! Sizes of slots go up in steps of a unit. A size of which a zspage holds no more slots than of a
//! larger one is merged with that: it would save nothing.

use super::mem::{PAGE_UNITS, UNIT_BYTES, slots};

/// How a class cuts its zspages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) slot_units: u16,
    /// Slots in one zspage.
    pub(crate) slots: u16,
}

impl Shape {
    /// Most bytes of an object.
    pub(crate) fn object_bytes_max(self) -> usize {
        usize::from(self.slot_units) * UNIT_BYTES
    }
}

/// The class of objects of a length, as its place in `SHAPES`.
#[inline]
pub(crate) fn class_of(len: usize) -> Option<usize> {
    let units = len.div_ceil(UNIT_BYTES);
    CLASS_OF_UNITS.get(units).filter(|_| len > 0).map(|class| usize::from(*class))
}

/// The classes, from the largest slots to the smallest.
pub(crate) static SHAPES: [Shape; CLASSES] = {
    let mut shapes = [Shape { slot_units: 0, slots: 0 }; CLASSES];
    let (mut class, mut units) = (0, PAGE_UNITS);
    while units * UNIT_BYTES >= SLOT_BYTES_MIN {
        if is_class(units) {
            shapes[class] = Shape { slot_units: units as u16, slots: slots(units) as u16 };
            class += 1;
        }
        units -= 1;
    }
    shapes
};

/// How many classes there are.
pub(crate) const CLASSES: usize = {
    let (mut classes, mut units) = (0, PAGE_UNITS);
    while units * UNIT_BYTES >= SLOT_BYTES_MIN {
        classes += is_class(units) as usize;
        units -= 1;
    }
    classes
};

/// By the units that an object needs. What is smaller than all is in the smallest class.
static CLASS_OF_UNITS: [u8; PAGE_UNITS + 1] = {
    let mut class_of = [0; PAGE_UNITS + 1];
    let (mut class, mut units) = (0, PAGE_UNITS);
    while units > 0 {
        if units * UNIT_BYTES >= SLOT_BYTES_MIN && is_class(units) && units < PAGE_UNITS {
            class += 1;
        }
        class_of[units] = class;
        units -= 1;
    }
    class_of
};

const fn is_class(units: usize) -> bool {
    units == PAGE_UNITS || slots(units) > slots(units + 1)
}

const SLOT_BYTES_MIN: usize = 32;

#[cfg(test)]
mod test {
    use super::*;
    use crate::zsmalloc::mem::OBJECT_BYTES_MAX;

    #[test]
    fn every_length_fits_its_class_and_no_smaller_one_but_by_merging() {
        assert_eq!((class_of(0), class_of(OBJECT_BYTES_MAX + 1)), (None, None));
        for len in 1..=OBJECT_BYTES_MAX {
            let class = class_of(len).unwrap();
            assert!(len <= SHAPES[class].object_bytes_max(), "{len} bytes");
            let fits_next = SHAPES.get(class + 1).is_some_and(|s| len <= s.object_bytes_max());
            assert!(!fits_next, "{len} bytes");
        }
    }

    #[test]
    fn classes_shrink_and_hold_ever_more() {
        assert!(SHAPES.is_sorted_by(|a, b| a.slot_units > b.slot_units && a.slots < b.slots));
        assert_eq!((SHAPES[0].slots, SHAPES[0].object_bytes_max()), (15, 4096));
    }
}
