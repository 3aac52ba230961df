//! Fashion-MNIST: the ten classes in the data set's own order, and the size of its pictures.
//!
//! Nothing else in the project knows these; a network says itself what it reads and tells apart.

use crate::input::InputShape;

/// Side of the square pictures, in pixels.
pub const SIDE: usize = 28;
/// Pixels of a picture: [`SIDE`]².
pub const PIXELS: usize = SIDE * SIDE;
/// Number of classes.
pub const CLASSES: usize = 10;
/// Shape of a picture.
pub const SHAPE: InputShape = InputShape { height: SIDE, width: SIDE, channels: 1 };

/// A class of Fashion-MNIST; the discriminant is the number stored in the label files.
///
/// Source: Xiao, Rasul, Vollgraf, *Fashion-MNIST* (2017), table 2.
///
/// ```
/// use shared::fashion_mnist::Label;
/// assert_eq!(Label::from_index(9), Some(Label::AnkleBoot));
/// assert_eq!(Label::AnkleBoot.name(), "Ankle boot");
/// assert_eq!(Label::from_index(10), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Label {
    /// T-shirt or top.
    TShirt = 0,
    /// Trousers.
    Trouser = 1,
    /// Pullover.
    Pullover = 2,
    /// Dress.
    Dress = 3,
    /// Coat.
    Coat = 4,
    /// Sandal.
    Sandal = 5,
    /// Shirt.
    Shirt = 6,
    /// Sneaker.
    Sneaker = 7,
    /// Bag.
    Bag = 8,
    /// Ankle boot.
    AnkleBoot = 9,
}

impl Label {
    /// All labels; `ALL[i] as usize == i`.
    pub const ALL: [Label; CLASSES] = [
        Label::TShirt,
        Label::Trouser,
        Label::Pullover,
        Label::Dress,
        Label::Coat,
        Label::Sandal,
        Label::Shirt,
        Label::Sneaker,
        Label::Bag,
        Label::AnkleBoot,
    ];

    /// The names in order.
    pub const NAMES: [&'static str; CLASSES] = {
        let mut names = [""; CLASSES];
        let mut index = 0;
        while index < CLASSES {
            names[index] = Self::ALL[index].name();
            index += 1;
        }
        names
    };

    /// Returns the label numbered `index`, or `None` above 9.
    pub const fn from_index(index: usize) -> Option<Label> {
        if index < CLASSES { Some(Self::ALL[index]) } else { None }
    }

    /// Returns the number stored in the label files, `0..=9`.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the name used by the data set's authors, at most 11 ASCII characters.
    pub const fn name(self) -> &'static str {
        match self {
            Label::TShirt => "T-shirt/top",
            Label::Trouser => "Trouser",
            Label::Pullover => "Pullover",
            Label::Dress => "Dress",
            Label::Coat => "Coat",
            Label::Sandal => "Sandal",
            Label::Shirt => "Shirt",
            Label::Sneaker => "Sneaker",
            Label::Bag => "Bag",
            Label::AnkleBoot => "Ankle boot",
        }
    }
}

impl core::fmt::Display for Label {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_stands_at_its_own_index() {
        for (index, label) in Label::ALL.into_iter().enumerate() {
            assert_eq!(label.index(), index);
            assert_eq!(Label::from_index(index), Some(label));
        }
        assert_eq!(Label::from_index(CLASSES), None);
    }

    #[test]
    fn names_are_distinct_and_fit_the_screen() {
        for a in Label::ALL {
            assert!(a.name().is_ascii() && a.name().len() <= 11, "{a}");
            for b in Label::ALL {
                assert!(a == b || a.name() != b.name());
            }
        }
    }
}
