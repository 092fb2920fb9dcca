; One more open challenge never makes the next one cheaper, and what a doubling brought stays.
; Needed for: the price of a challenge. `ChallengePrice.priceOf` with q = base * 2 ^ (open / 512) and rest = open % 512:
; the code's product is at most 2^96 * 1023 * 2^57, far from 256 bits, so what holds for integers holds for it.
(declare-const q Int)
(declare-const rest Int)
(assert (>= q 0))
(assert (<= 0 rest 511))
(check-sat)
(define-fun price ((scaled Int) (behind Int)) Int (div (* scaled (+ 512 behind)) 512))
(assert (not (and
  (=> (< rest 511) (<= (price q rest) (price q (+ rest 1))))
  (<= (price q 511) (price (* 2 q) 0))
  (= (price q 0) q)
  (<= q (price q rest)))))
(check-sat)
