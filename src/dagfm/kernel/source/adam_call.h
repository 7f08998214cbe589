/* The numbers of a step of Adam, the same for all weights. */
#ifndef DAGFM_ADAM_CALL_H
#define DAGFM_ADAM_CALL_H

typedef struct {
    float rate;                   /* over what corrects the mean for its zero start */
    float mean_left, square_left; /* what a step leaves of the moments */
    float square_fix;             /* what corrects the square for its zero start */
    float epsilon;
} adam_rule;

#endif
