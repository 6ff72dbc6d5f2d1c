//! Paginated lists, compatible with `PageNumberPagination` of Django REST Framework.

use std::str::FromStr;

/// The requested page. Pages count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageNumber {
    /// The page with this number, at least 1.
    Number(u64),
    /// The last page.
    Last,
}

/// The number of items per page: 1 to [`PageSize::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u64);

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// The error for a text that is not an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an order: give asc (oldest first) or desc (newest first)")]
pub struct OrderError(String);

/// The error for a text that is not a page size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a page size: give a whole number from 1 to {max}", max = PageSize::MAX)]
pub struct PageSizeError(String);

/// The error for a text that is not a page, with the message of Django REST Framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid page.")]
pub struct InvalidPage;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The number of items in the whole list.
    pub count: u64,
    /// The number of this page, from 1.
    pub number: u64,
    /// The number of pages: 1 for an empty list.
    pub pages: u64,
    /// The items of this page.
    pub items: Vec<T>,
}

impl FromStr for PageNumber {
    type Err = InvalidPage;

    /// Parses `last` or a whole number of at least 1; an empty text is page 1.
    fn from_str(text: &str) -> Result<Self, InvalidPage> {
        match text {
            "last" => Ok(Self::Last),
            "" => Ok(Self::Number(1)),
            _ if !text.bytes().all(|b| b.is_ascii_digit()) => Err(InvalidPage),
            // A number that exceeds u64 is past the last page of any list.
            _ => match text.parse().unwrap_or(u64::MAX) {
                0 => Err(InvalidPage),
                number => Ok(Self::Number(number)),
            },
        }
    }
}

impl Default for PageNumber {
    fn default() -> Self {
        Self::Number(1)
    }
}

impl PageNumber {
    /// Returns the page number and the number of pages for a list of `count` items; `None` for a page past
    /// the last one. Page 1 of an empty list exists.
    pub fn locate(self, count: u64, size: PageSize) -> Option<(u64, u64)> {
        let pages = count.div_ceil(size.0).max(1);
        let number = match self {
            Self::Number(number) => number,
            Self::Last => pages,
        };
        (1..=pages).contains(&number).then_some((number, pages))
    }
}

impl PageSize {
    /// The maximum page size.
    pub const MAX: u64 = 1000;

    /// Returns a page size of [`PageSize::MAX`] items.
    pub fn largest() -> Self {
        Self(Self::MAX)
    }

    /// Returns the number of items.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(10)
    }
}

impl FromStr for PageSize {
    type Err = PageSizeError;

    fn from_str(text: &str) -> Result<Self, PageSizeError> {
        Some(text)
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|size| (1..=Self::MAX).contains(size))
            .map(Self)
            .ok_or_else(|| PageSizeError(text.chars().take(40).collect()))
    }
}

impl Order {
    /// Returns the indexes, counted from the oldest item, of the items of an existing page.
    pub fn places(self, count: u64, number: u64, size: PageSize) -> std::ops::Range<u64> {
        let skipped = (number - 1) * size.0;
        match self {
            Self::Ascending => skipped..(skipped + size.0).min(count),
            Self::Descending => {
                let end = count - skipped.min(count);
                end.saturating_sub(size.0)..end
            }
        }
    }

    /// Puts items that are given oldest first into this order.
    pub fn sort<T>(self, items: &mut [T]) {
        if self == Self::Descending {
            items.reverse();
        }
    }
}

impl FromStr for Order {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        match text {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(OrderError(text.chars().take(40).collect())),
        }
    }
}

impl<T> Page<T> {
    /// Returns a page without items.
    pub fn empty(number: u64, pages: u64) -> Self {
        Self { count: 0, number, pages, items: Vec::new() }
    }

    /// Returns the number of the next page, if there is one.
    pub fn next(&self) -> Option<u64> {
        (self.number < self.pages).then_some(self.number + 1)
    }

    /// Returns the number of the previous page, if there is one.
    pub fn previous(&self) -> Option<u64> {
        self.number.checked_sub(1).filter(|&number| number >= 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_a_whole_number_from_1_or_last() {
        assert_eq!("last".parse(), Ok(PageNumber::Last));
        assert_eq!("".parse(), Ok(PageNumber::Number(1)));
        assert_eq!("7".parse(), Ok(PageNumber::Number(7)));
        assert_eq!("99999999999999999999".parse(), Ok(PageNumber::Number(u64::MAX)));
        for text in ["0", "-1", "+1", "1.0", "Last", "abc", " 1", "1e3"] {
            assert_eq!(text.parse::<PageNumber>(), Err(InvalidPage), "{text}");
        }
    }

    #[test]
    fn a_page_size_is_from_1_to_1000() {
        assert_eq!("1".parse(), Ok(PageSize(1)));
        assert_eq!("1000".parse(), Ok(PageSize(1000)));
        for text in ["", "0", "1001", "-5", "ten", "1.5", "99999999999999999999"] {
            let error = text.parse::<PageSize>().expect_err(text).to_string();
            assert!(error.contains("from 1 to 1000"), "{error}");
        }
    }

    #[test]
    fn page_one_of_an_empty_list_is_an_empty_page() {
        assert_eq!(PageNumber::Number(1).locate(0, PageSize(10)), Some((1, 1)));
        assert_eq!(PageNumber::Last.locate(0, PageSize(10)), Some((1, 1)));
        assert_eq!(PageNumber::Number(2).locate(0, PageSize(10)), None);
    }

    #[test]
    fn the_largest_page_has_1000_items_and_a_page_has_10_by_default() {
        assert_eq!((PageSize::largest().get(), PageSize::default().get()), (1000, 10));
    }

    #[test]
    fn an_order_is_asc_or_desc() {
        assert_eq!("asc".parse(), Ok(Order::Ascending));
        assert_eq!("desc".parse(), Ok(Order::Descending));
        for text in ["", "ASC", "ascending"] {
            assert_eq!(text.parse::<Order>(), Err(OrderError(text.to_owned())));
        }
    }

    #[test]
    fn the_next_and_the_previous_page_are_the_neighbours() {
        let neighbours = |number| {
            let page = Page::<u8>::empty(number, 4);
            (page.previous(), page.next())
        };
        assert_eq!(neighbours(1), (None, Some(2)));
        assert_eq!(neighbours(3), (Some(2), Some(4)));
        assert_eq!(neighbours(4), (Some(3), None));
    }

    proptest! {
        #[test]
        fn the_pages_of_a_list_are_its_chunks(count in 0usize..300, size in 1u64..40) {
            let list: Vec<usize> = (0..count).collect();
            let chunks: Vec<&[usize]> = list.chunks(usize::try_from(size).unwrap()).collect();
            let size = PageSize(size);
            for number in 1..=chunks.len().max(1) as u64 + 1 {
                let located = PageNumber::Number(number).locate(count as u64, size);
                let exists = number == 1 || number <= chunks.len() as u64;
                prop_assert_eq!(located.is_some(), exists);
                if let Some((number, pages)) = located {
                    let places = |order: Order| {
                        let mut places: Vec<u64> = order.places(count as u64, number, size).collect();
                        order.sort(&mut places);
                        places
                    };
                    let chunk = |list: Vec<usize>| -> Vec<u64> {
                        let chunk = list.chunks(usize::try_from(size.0).unwrap()).nth(usize::try_from(number - 1).unwrap());
                        chunk.unwrap_or_default().iter().map(|place| *place as u64).collect()
                    };
                    prop_assert_eq!(places(Order::Ascending), chunk(list.clone()));
                    prop_assert_eq!(places(Order::Descending), chunk(list.iter().rev().copied().collect()));
                    let page = Page { count: count as u64, number, pages, items: Vec::<u8>::new() };
                    prop_assert_eq!(page.next().is_some(), number < chunks.len() as u64);
                    prop_assert_eq!(page.previous().is_some(), number > 1);
                }
            }
            let last = PageNumber::Last.locate(count as u64, size).unwrap();
            prop_assert_eq!(last.0, chunks.len().max(1) as u64);
        }
    }
}
