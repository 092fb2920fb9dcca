; A quotient rounded down, times its divisor, falls short of the numerator by less than the divisor.
; Needed for: refunds. `_assumeFloor` in tests/forge/proofs/MoneyProof.sol.
(declare-const numerator Int)
(declare-const divisor Int)
(assert (>= numerator 0))
(assert (> divisor 0))
(check-sat)
(define-fun quotient () Int (div numerator divisor))
(assert (not (and (<= (* quotient divisor) numerator) (> (* (+ quotient 1) divisor) numerator))))
(check-sat)
