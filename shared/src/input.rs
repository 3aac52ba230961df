//! The shape of a network's input.

/// Height, width and channels of a network's input; bytes lie in `[height][width][channels]` order.
///
/// ```
/// use shared::input::InputShape;
/// let shape = InputShape::new(40, 24, 3).unwrap();
/// assert_eq!(shape.len(), 2_880);
/// assert!(InputShape::new(300, 24, 3).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct InputShape {
    /// Rows, 1..=256.
    pub height: usize,
    /// Columns, 1..=256.
    pub width: usize,
    /// 1 for gray, 3 for red, green, blue.
    pub channels: usize,
}

impl InputShape {
    /// Most rows and most columns.
    pub const MAX_SIDE: usize = 256;

    /// Returns the shape, or `None` where a number is out of its range.
    pub const fn new(height: usize, width: usize, channels: usize) -> Option<Self> {
        let shape = Self { height, width, channels };
        if shape.is_valid() { Some(shape) } else { None }
    }

    /// Whether every number is in its range; shapes read from a file may not be.
    pub const fn is_valid(&self) -> bool {
        self.height >= 1
            && self.height <= Self::MAX_SIDE
            && self.width >= 1
            && self.width <= Self::MAX_SIDE
            && (self.channels == 1 || self.channels == 3)
    }

    /// Returns the number of pixels: height × width.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Returns the number of values, a byte each: height × width × channels.
    #[expect(clippy::len_without_is_empty, reason = "no input is empty")]
    pub const fn len(&self) -> usize {
        self.pixels() * self.channels
    }
}

/// `28×28 gray`, `40×24 RGB`: height × width and what the channels are.
impl core::fmt::Display for InputShape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let colours = if self.channels == 1 { "gray" } else { "RGB" };
        write!(f, "{}×{} {colours}", self.height, self.width)
    }
}
