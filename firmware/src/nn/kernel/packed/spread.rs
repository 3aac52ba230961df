//! An image of three channels as one of four, so that a pixel fills a word.

/// Writes each pixel with a fourth channel of −128, which stands for 0.
///
/// * `image`: `[pixels][3]` i8; `output`: `[pixels][4]` i8. Where one is shorter, the common part is written.
#[inline(never)]
pub fn spread(image: &[i8], output: &mut [i8]) {
    for (place, pixel) in output.as_chunks_mut::<4>().0.iter_mut().zip(image.as_chunks::<3>().0) {
        let &[red, green, blue] = pixel;
        *place = [red, green, blue, i8::MIN];
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pixel_gets_a_fourth_channel() {
        let mut output = [0; 9];
        super::spread(&[1, 2, 3, 4, 5, 6, 7], &mut output);
        assert_eq!(output, [1, 2, 3, -128, 4, 5, 6, -128, 0]);
    }
}
