//! Tells Fashion-MNIST from other data by content, whatever the file format and row order.

use sha2::{Digest, Sha256};

use super::Samples;

/// Formats bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the sha256 of `bytes` in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the sha256 over each part's labels, then pixels, in order.
pub fn content_sha256(parts: &[&Samples]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(&part.labels);
        hasher.update(&part.pixels);
    }
    hex(&hasher.finalize())
}

/// Fingerprint of a set of labelled images that does not depend on their order.
///
/// The wrapping sum, over all rows, of the first 16 bytes (little endian) of sha256(label ‖ pixels).
/// Kaggle's CSV files hold the official images in another order and give the same sum.
pub fn unordered_fingerprint(samples: &Samples) -> u128 {
    let rows = samples.labels.iter().zip(samples.images());
    rows.fold(0, |sum: u128, (&label, pixels)| {
        let digest = Sha256::new().chain_update([label]).chain_update(pixels).finalize();
        let mut head = [0; 16];
        head.copy_from_slice(&digest[..16]);
        sum.wrapping_add(u128::from_le_bytes(head))
    })
}

/// What a pair of training and test parts turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Row for row the official Fashion-MNIST.
    FashionMnist,
    /// Begins with MNIST's label sequence: handwritten digits under the same file names.
    Mnist,
    /// Neither.
    Unknown,
}

/// [`unordered_fingerprint`] of the official 60,000 training images.
pub const TRAIN_FINGERPRINT: u128 = 0x3c6a_ae86_c05e_891f_e6fe_44cb_2c19_f1fc;
/// [`unordered_fingerprint`] of the official 10,000 test images.
pub const TEST_FINGERPRINT: u128 = 0x78c4_e625_5bc1_e247_4181_5325_a531_4dfc;

/// First labels of MNIST's training and test files (LeCun, Cortes, Burges), which differ from Fashion-MNIST's.
const MNIST_TRAIN_LABELS: [u8; 10] = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4];
const MNIST_TEST_LABELS: [u8; 10] = [7, 2, 1, 0, 4, 1, 4, 9, 5, 9];

/// Recognises a data set by its content.
pub fn identify(train: &Samples, test: &Samples) -> Identity {
    if train.labels.starts_with(&MNIST_TRAIN_LABELS) || test.labels.starts_with(&MNIST_TEST_LABELS) {
        return Identity::Mnist;
    }
    let official =
        unordered_fingerprint(test) == TEST_FINGERPRINT && unordered_fingerprint(train) == TRAIN_FINGERPRINT;
    if official { Identity::FashionMnist } else { Identity::Unknown }
}

#[cfg(test)]
mod tests {
    use shared::fashion_mnist::{Label, PIXELS, SHAPE};

    use super::*;

    fn two_images() -> Samples {
        let mut samples = Samples::empty(SHAPE);
        samples.push(&[1; PIXELS], Label::Bag as u8);
        samples.push(&[2; PIXELS], Label::Coat as u8);
        samples
    }

    #[test]
    fn fingerprint_ignores_order_but_not_content() {
        let samples = two_images();
        let swapped = samples.select(&[1, 0]);
        assert_eq!(unordered_fingerprint(&samples), unordered_fingerprint(&swapped));
        assert_ne!(content_sha256(&[&samples]), content_sha256(&[&swapped]));
        let mut changed = samples.clone();
        changed.pixels[5] ^= 1;
        assert_ne!(unordered_fingerprint(&samples), unordered_fingerprint(&changed));
    }

    #[test]
    fn mnist_is_told_by_its_first_labels() {
        let mut digits = two_images();
        digits.labels = MNIST_TRAIN_LABELS.to_vec();
        assert_eq!(identify(&digits, &two_images()), Identity::Mnist);
        assert_eq!(identify(&two_images(), &two_images()), Identity::Unknown);
    }
}
