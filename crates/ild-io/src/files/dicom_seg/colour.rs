//! sRGB and the CIELab values that DICOM recommends a segment to be shown in.
//!
//! PS3.3 C.10.7.1.1: L from 0 to 100 and a, b from −128 to 127 in 16 bits each, PCS values of ICC
//! profiles, whose white is D50. sRGB: IEC 61966-2-1; from its white D65 to D50 by Bradford's matrix.

/// Linear sRGB to XYZ under D50 (ICC v4 sRGB, Bradford adapted).
const TO_XYZ: [[f64; 3]; 3] = [
    [0.436_065_7, 0.385_151_5, 0.143_078_4],
    [0.222_493_2, 0.716_887_0, 0.060_616_9],
    [0.013_916_0, 0.097_076_5, 0.714_107_2],
];
/// Where L* changes from a line to a cube root, and the line's slope (CIE 15).
const EPSILON: f64 = 216.0 / 24389.0;
const KAPPA: f64 = 24389.0 / 27.0;

/// XYZ of white: what the matrix makes of it, so that grey is grey.
fn white() -> [f64; 3] {
    TO_XYZ.map(|row| row.iter().sum())
}

/// As RecommendedDisplayCIELabValue has it.
pub(super) fn to_lab(rgb: [u8; 3]) -> [u16; 3] {
    let linear = rgb.map(|level| {
        let level = f64::from(level) / 255.0;
        if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
    });
    let white = white();
    let f: [f64; 3] = std::array::from_fn(|i| {
        let share = TO_XYZ[i].iter().zip(linear).map(|(m, v)| m * v).sum::<f64>() / white[i];
        if share > EPSILON { share.cbrt() } else { (KAPPA * share + 16.0) / 116.0 }
    });
    let [l, a, b] = [116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])];
    let whole = |share: f64| (share.clamp(0.0, 1.0) * 65535.0).round() as u16;
    [whole(l / 100.0), whole((a + 128.0) / 255.0), whole((b + 128.0) / 255.0)]
}

/// Back; what sRGB cannot show is cut.
pub(super) fn to_rgb(lab: [u16; 3]) -> [u8; 3] {
    let [l, a, b] = lab.map(|value| f64::from(value) / 65535.0);
    let (l, a, b) = (100.0 * l, 255.0 * a - 128.0, 255.0 * b - 128.0);
    let y = (l + 16.0) / 116.0;
    let f = [y + a / 500.0, y, y - b / 200.0];
    let white = white();
    let xyz: [f64; 3] = std::array::from_fn(|i| {
        let cube = f[i].powi(3);
        white[i] * if cube > EPSILON { cube } else { (116.0 * f[i] - 16.0) / KAPPA }
    });
    solved(xyz).map(|level| {
        let level = if level <= 0.003_130_8 {
            12.92 * level
        } else {
            1.055 * level.powf(1.0 / 2.4) - 0.055
        };
        (level.clamp(0.0, 1.0) * 255.0).round() as u8
    })
}

/// The linear sRGB whose XYZ these are (Cramer's rule).
fn solved(xyz: [f64; 3]) -> [f64; 3] {
    let determinant = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    std::array::from_fn(|column| {
        let mut replaced = TO_XYZ;
        for (row, value) in replaced.iter_mut().zip(xyz) {
            row[column] = value;
        }
        determinant(replaced) / determinant(TO_XYZ)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_comes_back() {
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255).step_by(15) {
                    let rgb = [r, g, b].map(|v: i32| v as u8);
                    assert_eq!(to_rgb(to_lab(rgb)), rgb);
                }
            }
        }
    }

    /// CIELab of sRGB red under D50 is 54.29, 80.81, 69.89 (Lindbloom).
    #[test]
    fn red_is_where_the_tables_have_it() {
        assert_eq!(to_lab([255, 255, 255]), [65535, 32896, 32896]);
        assert_eq!(to_lab([0, 0, 0]), [0, 32896, 32896]);
        let [l, a, b] = to_lab([255, 0, 0]).map(|value| f64::from(value) / 65535.0);
        let found = [100.0 * l, 255.0 * a - 128.0, 255.0 * b - 128.0];
        for (found, expected) in found.into_iter().zip([54.29, 80.81, 69.89]) {
            assert!((found - expected).abs() < 0.05, "{found} instead of {expected}");
        }
    }
}
