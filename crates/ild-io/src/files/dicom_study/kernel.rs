//! Reconstruction kernels that are sharp enough for the texture of the lung, by the makers' names.

/// Sharp kernels by name: GE, Canon/Toshiba's words, Philips.
const NAMES: [&str; 12] =
    ["LUNG", "BONE", "BONEPLUS", "EDGE", "CHST", "CHEST", "YA", "YB", "YC", "YD", "L", "D"];
/// Siemens' numbers from here on are sharp: B50f, Bl57, Br64, Qr59, I50f.
const SHARP_SIEMENS: u32 = 50;
const SIEMENS: [&str; 11] = ["b", "bl", "br", "bv", "bf", "d", "i", "qr", "q", "hr", "bp"];
/// Toshiba's for the lung: FC50 to FC59, FC80 to FC89.
const TOSHIBA: [u32; 2] = [5, 8];

/// Whether `kernel` (ConvolutionKernel) is one of the lung's.
pub(super) fn is_lung(kernel: &str) -> bool {
    let first = kernel.split('\\').next().unwrap_or_default().trim();
    let name: String = first.chars().filter(|c| c.is_alphanumeric()).collect();
    if NAMES.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        return true;
    }
    let letters: String =
        name.chars().take_while(|c| c.is_alphabetic()).collect::<String>().to_lowercase();
    let digits: String =
        name.chars().skip_while(|c| c.is_alphabetic()).take_while(char::is_ascii_digit).collect();
    let Ok(number) = digits.parse::<u32>() else { return false };
    if letters == "fc" {
        return TOSHIBA.contains(&(number / 10));
    }
    SIEMENS.contains(&letters.as_str()) && number >= SHARP_SIEMENS
}

#[cfg(test)]
mod tests {
    use super::is_lung;

    #[test]
    fn sharp_kernels_of_four_makers_are_the_lungs() {
        for kernel in [
            "B70f", "B60s", "Bl57d\\3", "Br59d", "I70f\\2", "LUNG", "BONEPLUS", "FC51", "FC86",
            "YC",
        ] {
            assert!(is_lung(kernel), "{kernel}");
        }
        for kernel in ["B30f", "B40f", "Br40d\\3", "I31f", "STANDARD", "SOFT", "FC08", "B", "C", ""]
        {
            assert!(!is_lung(kernel), "{kernel}");
        }
    }
}
